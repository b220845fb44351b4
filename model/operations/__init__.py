"""The door to compiled operations, and their plain references."""
