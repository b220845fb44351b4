"""Where requests wait, and who runs them: queues, batches, and the keeping of worker processes."""
