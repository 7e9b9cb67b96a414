"""The training loop that every recipe runs in."""
