"""What the running product does in a second, and what the same SQL does without it: `make bench`. Asserts nothing."""
