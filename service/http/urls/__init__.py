"""Pictures fetched by URL."""
