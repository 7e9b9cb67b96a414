"""Speed, memory and agreement."""
