"""What a batch is made of: clips, episodes, starts, and data that nothing is trained on."""
