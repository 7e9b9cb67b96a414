"""Compiled loops (numba), each beside the tensor operations that it stands for on a CPU."""
