"""What a backbone costs, counted without weights."""
