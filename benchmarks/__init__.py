"""Measurements of minigen beside what one would use instead. Each runs from a clone: ``python -m benchmarks.small_ops``."""
