"""What the operator decides, and where it is read from."""
