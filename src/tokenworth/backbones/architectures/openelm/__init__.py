"""OpenELM as a transformers model of our own, so that its published checkpoints load without remote code.

Architecture: Mehta et al., "OpenELM: An Efficient Language Model Family with Open Training and Inference Framework"
(arXiv 2404.14619).
"""
