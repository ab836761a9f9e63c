"""The decoder that `tokenworth pretrain` trains, with each part of 2017 in place of its successor where asked for.

With today's parts it computes what transformers' Llama (dense) or Mixtral (mixture of experts) computes, under the same
names, and is saved as one of them; with any older part it is a model type of its own that only this package loads.
"""
