"""Run lengths, outlines and how they turn into one another; no torch."""
