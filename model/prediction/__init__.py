"""Pictures in, results out."""
