"""A trained classifier outside this package: transformers, ONNX, peft; and the card beside every saved one."""
