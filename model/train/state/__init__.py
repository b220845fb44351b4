"""What trains, and how it survives a stop."""
