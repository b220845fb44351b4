"""A predictor measured on a data set."""
