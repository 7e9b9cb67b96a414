"""Observations and what they are made of: rasters, the road map, optical flow, tracks."""
