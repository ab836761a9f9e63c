"""From a name to a model in memory: files, configuration, tokenizer, weights."""
