"""Results that take longer than a page build: each module is one command that remakes its file."""
