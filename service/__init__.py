"""The HTTP service around the predictor."""
