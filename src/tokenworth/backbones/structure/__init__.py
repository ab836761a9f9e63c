"""What a model is asked: where its layers are, what they see, how its head is computed."""
