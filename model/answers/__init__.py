"""Results as JSON and as drawings; no torch."""
