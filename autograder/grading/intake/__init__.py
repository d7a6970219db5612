"""What was handed in, from any pile of files to `submitted/`: each piece of work its student's, nothing lost."""
