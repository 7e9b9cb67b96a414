"""How well predictions match what followed, without a driver."""
