"""What a route leaves on disk, and how it is read again."""
