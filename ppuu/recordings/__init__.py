"""Recordings: tracks of vehicles and roads, in SI units."""
