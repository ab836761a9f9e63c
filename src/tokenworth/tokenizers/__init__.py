"""Tokenizers over bytes."""
