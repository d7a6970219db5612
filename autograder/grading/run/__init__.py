"""A grading run: what is new goes through workers, boxes and the judge, and all that happens is written down."""
