"""What was recorded: tracks of vehicles on a road, in metres and seconds."""
