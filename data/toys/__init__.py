"""Toy tasks: moving dots, two rooms."""
