"""From a picture and its annotations to a batch."""
