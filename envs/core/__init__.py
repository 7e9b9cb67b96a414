"""The simulator: what it is, when an episode ends, and what may differ from the recording."""
