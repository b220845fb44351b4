"""Training: data, targets, losses and the loop."""
