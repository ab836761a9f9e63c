"""From documents to the sequences of a step."""
