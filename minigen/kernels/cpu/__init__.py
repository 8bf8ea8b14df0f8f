"""Numba twins of `kernels.reference`, imported and compiled at first use; compiled code is cached on disk."""
