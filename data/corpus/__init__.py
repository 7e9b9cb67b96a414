"""A corpus: many short recordings of generated traffic, everything drawn from stated ranges."""
