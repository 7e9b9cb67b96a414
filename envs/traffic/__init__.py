"""How the other vehicles move."""
