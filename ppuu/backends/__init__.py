"""Compiled kernels (numba), each paired with the tensor operations that it stands for on a CPU."""
