"""From a name or a run directory to a trained model: knows every other room, and stands last."""
