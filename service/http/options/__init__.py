"""What a request can be asked, how that is read, and what it asks of each picture."""
