"""Clips: histories and futures from recordings."""
