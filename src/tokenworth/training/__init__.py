"""What the two training loops, of routes and of pretraining, have in common; each module says what it is for."""
