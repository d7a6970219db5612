"""Checks, release and grading of the course assignments."""
