"""Which vehicles are lorries: generator, simulator and writers of recordings share it."""

from __future__ import annotations

LORRY_LENGTH_M = 7.0
"""Vehicles longer than this are lorries."""
