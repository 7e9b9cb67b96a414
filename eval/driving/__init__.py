"""Policies driving episodes in the simulator: the loop, its observers, and summaries."""
