"""Clips: a history and what followed, cut from recordings."""
