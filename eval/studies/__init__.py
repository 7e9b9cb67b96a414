"""What the larger studies are made of."""
