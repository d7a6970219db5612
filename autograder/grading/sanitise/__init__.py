"""Notebooks with nothing in a student's part that could act on a reader's page."""
