"""Personal data: what it looks like, and its redaction."""
