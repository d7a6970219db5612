"""The way of a submission, one file a step: collect, prepare, run, report, feedback, export; `grade` walks it."""
