"""Loads trained models and policies by name or run directory; may import every other room."""
