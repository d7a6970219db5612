"""Random and damaged input for everything that reads what comes from students."""
