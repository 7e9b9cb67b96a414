"""The Gymnasium environments around the simulator."""
