"""Measurements of minigen beside what one would use instead, from a clone: ``python -m benchmarks``."""
