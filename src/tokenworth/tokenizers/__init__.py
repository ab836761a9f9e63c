"""Tokenizers over bytes, and the documents they and pretraining runs are fed."""
