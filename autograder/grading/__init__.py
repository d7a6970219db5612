"""The way of a submission, one file a step: collect, prepare, run, write (into tables and pages), export."""
