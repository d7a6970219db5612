"""From a handed-in folder to a notebook that can be run: read without trust, put together around trusted cells."""
