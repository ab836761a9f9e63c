"""Stages over shards: where they run, what is kept, how a killed build goes on."""
