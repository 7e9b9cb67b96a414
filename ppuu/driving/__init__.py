"""How vehicles are driven: car-following, lane changes, who is ahead of whom."""
