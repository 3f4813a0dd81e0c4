"""Benchmarks: what the running product does in a second, and what its SQL alone does. `make bench`; no assertions."""
