"""From a request to what it asks for."""
