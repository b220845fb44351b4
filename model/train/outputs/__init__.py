"""What a run leaves and tells."""
