"""Drivers at the wheel of the simulator, episode by episode."""
