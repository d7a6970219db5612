"""Reference implementations for the course: one module per chapter, same names as the exercises."""
