"""Planted states like those of real language models: a first token 170 times the others, one coordinate 300 times.

In SmolLM2-135M the first token's norm is 170 times the others' in the middle layers, in Gemma-3-270M one coordinate is
300 times the median; what a task reads lies in the small remainder, and is stored in the format of the pass.
"""

from dataclasses import replace

import numpy as np
import torch

import slow_truth as slow

TOKEN, COORDINATE = 170.0, 300.0


def sink_sample(seed=0, n=60, dim=24, n_classes=2, *, dtype=torch.float32, signal=0.5, lengths=(4, 9)):
    """A sample whose texts begin with the same large state; z is the mean over tokens in float32, as in a pass."""
    sample = slow.make_sample(seed, n=n, dim=dim, n_classes=n_classes, signal=signal, lengths=lengths)
    rng = np.random.default_rng(seed + 1000)
    sink = rng.normal(size=dim)
    sink *= TOKEN * np.sqrt(dim) / np.linalg.norm(sink)
    texts = []
    for text in sample.texts:
        states = np.vstack([sink + 0.1 * rng.normal(size=dim), text])
        states[:, dim // 2] += COORDINATE * (1 + 0.02 * rng.normal(size=len(states)))
        texts.append(slow.as_stored(states, dtype))
    z = np.stack([torch.tensor(text).float().mean(0).double().numpy() for text in texts])
    return replace(sample, texts=texts, z=z)
