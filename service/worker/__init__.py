"""The worker process: it owns a device and runs what the server sends it."""
