"""The checks of the attention assignment."""
