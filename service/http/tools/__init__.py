"""Routes for the tools that people label with, and for what they have on disk."""
