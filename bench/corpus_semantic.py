"""Semantic duplicates: recall and precision on planted paraphrases, by model, layer, threshold and way of comparing.

Documents are cut into passages of about 800 characters; a quarter of them gets a variant: its sentences in another
order, a share of its words replaced by synonyms of a small table, words that may be left out left out, or all of it.
A pair is right if it was planted; what articles share by themselves counts as wrong.  Near-duplicates by runs of words
(Jaccard .8) of the same passages stand beside.

    python bench/corpus_semantic.py CORPUS.parquet --model FOLDER [--passages 4000]
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from tokenworth.backbones import load_backbone
from tokenworth.corpus import near_duplicates
from tokenworth.corpus.deduplication.semantic_duplicates import Vectors, same_meaning
from tokenworth.corpus.engine.shard_store import write_arrays
from tokenworth.corpus.model_features import mean_states

SYNONYMS = {
    "began": "started", "started": "began", "big": "large", "large": "big", "small": "little", "little": "small",
    "often": "frequently", "many": "numerous", "several": "some", "however": "nevertheless", "also": "too",
    "near": "close to", "about": "around", "around": "about", "after": "following", "before": "prior to",
    "because": "since", "since": "because", "while": "whereas", "but": "yet", "show": "display", "shows": "displays",
    "said": "stated", "says": "states", "made": "produced", "make": "produce", "used": "employed", "use": "employ",
    "found": "discovered", "built": "constructed", "won": "gained", "died": "passed away", "moved": "went",
    "became": "turned into", "got": "received", "received": "got", "called": "named", "named": "called",
    "important": "significant", "main": "principal", "different": "various", "part": "portion", "area": "region",
    "town": "city", "road": "street", "house": "home", "people": "persons", "man": "fellow", "woman": "lady",
    "child": "kid", "children": "kids", "film": "movie", "movie": "film", "book": "volume", "song": "tune",
    "year": "twelvemonth", "begin": "start", "end": "finish", "ended": "finished", "first": "earliest",
    "last": "final", "known": "famous", "good": "fine", "great": "grand", "old": "aged", "new": "recent",
    "quickly": "fast", "usually": "normally", "almost": "nearly", "only": "merely", "very": "quite", "then": "next",
}  # fmt: skip
DISPENSABLE = {"also", "very", "however", "then", "just", "quite", "really", "still", "even", "the", "a", "an", "of"}
KINDS = ("order", "synonyms", "shorter", "all")
THRESHOLDS = (0.8, 0.85, 0.9, 0.95, 0.98)


def passages(texts: list[str], n: int, seed: int) -> list[str]:
    pieces = [piece for text in texts for piece in _pieces(text)]
    random.Random(seed).shuffle(pieces)
    return pieces[:n]


def _pieces(text: str) -> Iterator[str]:
    held: list[str] = []
    for sentence in re.split(r"(?<=[.!?])\s+", text):
        held.append(sentence)
        if sum(map(len, held)) > 800:
            yield " ".join(held)
            held = []


def varied(text: str, kind: str, rng: random.Random) -> str:
    sentences = re.split(r"(?<=[.!?])\s+", text)
    if kind in ("order", "all"):
        rng.shuffle(sentences)
    words = " ".join(sentences).split()
    if kind in ("shorter", "all"):
        words = [word for word in words if word not in DISPENSABLE or rng.random() < 0.3]
    if kind in ("synonyms", "all"):
        words = [SYNONYMS.get(word, word) for word in words]
    return " ".join(words)


def planted(pieces: list[str], seed: int) -> tuple[list[str], dict[int, tuple[int, str]]]:
    rng = random.Random(seed)
    originals = pieces[: len(pieces) - len(pieces) // 4]
    chosen = rng.sample(range(len(originals)), len(pieces) // 4)
    kinds = [KINDS[i % len(KINDS)] for i in range(len(chosen))]
    variants = [varied(originals[i], kind, rng) for i, kind in zip(chosen, kinds, strict=True)]
    pairs = {len(originals) + j: (i, kind) for j, (i, kind) in enumerate(zip(chosen, kinds, strict=True))}
    return originals + variants, pairs


class Raw(Vectors):
    """As the model gives them."""

    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        width = self._states(self.paths[0]).shape[1]
        return np.zeros(width), np.ones(width)


class Centred(Vectors):
    """Without division by each coordinate's deviation."""

    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        mean_D, _ = super()._moments()
        return mean_D, np.ones_like(mean_D)


WAYS: dict[str, type[Vectors]] = {"raw": Raw, "centred": Centred, "standardised": Vectors}


def judged(found: np.ndarray, pairs: dict[int, tuple[int, str]]) -> dict[str, float]:
    """Recall by kind of variant; precision: planted ones among all that are dropped."""
    dropped = np.flatnonzero(found != np.arange(len(found)))
    right = {row for row in dropped.tolist() if row in pairs and pairs[row][0] == found[row]}
    recall = {kind: float(np.mean([row in right for row, (_, own) in pairs.items() if own == kind])) for kind in KINDS}
    return {**recall, "recall": len(right) / len(pairs), "precision": len(right) / max(1, len(dropped))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--passages", type=int, default=4000)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    texts = pd.read_parquet(given.corpus)["text"].astype(str).tolist()
    every, pairs = planted(passages(texts, given.passages, given.seed), given.seed)
    print(f"{len(every):,} passages, {len(pairs):,} of them variants")
    print_row("near, Jaccard .8", judged(near_duplicates(every, 0.8), pairs))
    for model in given.model:
        n_layers = load_backbone(model).n_layers
        for layer in sorted({0, (n_layers + 1) // 2, n_layers}):
            with TemporaryDirectory() as folder:
                path = Path(folder) / "states"
                write_arrays(path, {"states": mean_states(every, model, layer=layer, max_tokens=given.max_tokens)})
                for way, kind in WAYS.items():
                    own = kind([path])
                    for threshold in THRESHOLDS:
                        name = f"{Path(model).name}, layer {layer}, {way}, {threshold}"
                        print_row(name, judged(same_meaning(own, threshold), pairs))


def print_row(name: str, row: dict[str, float]) -> None:
    print(f"{name:<56}" + "  ".join(f"{key} {value:.3f}" for key, value in row.items()), flush=True)
    print(json.dumps({"what": name, **row}), flush=True)


if __name__ == "__main__":
    main()
