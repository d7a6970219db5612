"""Widgets that compute in the reader's browser."""
