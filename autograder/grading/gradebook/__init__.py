"""What nbgrader keeps, read and written: the rows of its database and the folders of its steps."""
