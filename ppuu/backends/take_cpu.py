"""Rows of a table of bytes as fractions, copied one row after the other."""

from __future__ import annotations

from typing import no_type_check

from numba import njit

from .kernel import kernel


@kernel(smallest_part=256)  # rows
@njit(nogil=True, cache=True)
@no_type_check
def take_scaled(row, out, table, unit):
    """Rows times ``unit``, as float32.

    Args:
        row: ``(n,)`` of the table.
        out: ``(n, bytes)`` to write.
        table: ``(rows, bytes)``.
        unit: what a byte of 1 becomes.
    """
    for k in range(len(row)):
        # Assigning whole rows is ten times slower: numba does not see that it may copy blocks.
        first = row[k]
        for j in range(table.shape[1]):
            out[k, j] = unit * table[first, j]
