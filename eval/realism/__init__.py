"""How a recording compares with real traffic: following, waves, lane changes, noise."""
