"""From a batch to its losses."""
