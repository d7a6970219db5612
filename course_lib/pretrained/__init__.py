"""Published weights of other libraries, converted to the names of this course."""
