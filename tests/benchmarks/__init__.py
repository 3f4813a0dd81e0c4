"""Benchmarks: what the running product does in a second, and the least that its work could take. `make bench`."""
