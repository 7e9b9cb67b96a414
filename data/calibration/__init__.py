"""Calibration of generated drivers to recorded ones: car-following, lane changes, merging."""
