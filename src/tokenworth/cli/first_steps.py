"""What `tokenworth` alone says: where to begin."""

BEGIN = """\
Is next-token pretraining, and the adaptation after it, worth its cost for your text-classification task?

Begin with one of these:
  tokenworth demo                                  the whole story on texts that are here already, without a network
  tokenworth assess reviews.csv --model MODEL      what a model knows of your texts, beside a bag of words
  tokenworth decide reviews.csv MODEL              which route is worth its cost: words, prompt, probe, LoRA or more
  tokenworth doctor                                what this machine has, and what will be slow on it

reviews.csv has a column of texts and one of labels. MODEL is a folder, a GGUF file, a hub id such as
Qwen/Qwen2-0.5B, or smollm2-135m, which comes in a package (tokenworth backbones says how).

All commands: tokenworth --help. Completion: tokenworth completion bash."""
