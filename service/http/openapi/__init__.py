"""The OpenAPI document and its records."""
