"""Toy tasks with known answers: moving dots, two rooms."""
