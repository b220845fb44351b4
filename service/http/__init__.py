"""The HTTP door: from bytes on a connection to a job, and from its result to a response."""
