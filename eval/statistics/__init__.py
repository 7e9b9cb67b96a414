"""Estimates with intervals, and tests; scipy does the arithmetic wherever it has it."""
