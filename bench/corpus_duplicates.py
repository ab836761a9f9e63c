"""Near-dedup: documents a second, and precision and recall on planted near-duplicates, beside two libraries.

Every document of a text file with a column `text` is cut into pieces of about 1,000 characters; a quarter of them gets
a variant in which some words are changed, dropped or put elsewhere.  Jaccard similarity of every planted pair, and of
every pair that anybody finds, is counted on the sets of word 5-grams.  The sides take turns in one process, and times
are those of the processor, which other programs on the machine disturb less.

    python bench/corpus_duplicates.py CORPUS.parquet [--documents 67751]

The libraries (datasketch, rensa) are used where they are installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import re
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tokenworth.corpus.deduplication.minhash import shingle
from tokenworth.corpus.deduplication.near_duplicates import candidates, columns_of, gather_from, similarities

THRESHOLD, BANDS, ROWS, WORDS = 0.8, 14, 8, 5
_WORD = re.compile(r"[^\W_]+")
Pairs = set[tuple[int, int]]


def planted(texts: list[str], n: int, seed: int) -> tuple[list[str], list[tuple[int, int]]]:
    rng = random.Random(seed)
    pieces = [text[i : i + 1000] for text in texts for i in range(0, len(text) - 500, 1000)]
    rng.shuffle(pieces)
    originals = pieces[: n - n // 4]
    chosen = rng.sample(range(len(originals)), n // 4)
    variants = [varied(originals[i], rng) for i in chosen]
    return originals + variants, [(i, len(originals) + j) for j, i in enumerate(chosen)]


def varied(text: str, rng: random.Random) -> str:
    words = text.split()
    for _ in range(rng.choice((0, 1, 1, 2, 3, 4, 6, 8, 12))):
        place = rng.randrange(len(words))
        what = rng.random()
        if what < 0.4:
            words[place] = rng.choice(("however", "maybe", "river", "seven", "under"))
        elif what < 0.7 and len(words) > 1:
            del words[place]
        else:
            words.insert(place, rng.choice(("indeed", "quite", "later")))
    return " ".join(words)


def grams(text: str) -> set[str]:
    words = _WORD.findall(text.lower())
    return {" ".join(words[i : i + WORDS]) for i in range(max(1, len(words) - WORDS + 1))}


def jaccard(left: set[str], right: set[str]) -> float:
    return len(left & right) / max(1, len(left | right))


def ours(texts: list[str]) -> Pairs:
    found = shingle(texts)
    pairs = candidates(columns_of(found), THRESHOLD)
    alike = pairs[similarities(pairs, gather_from(found)) >= THRESHOLD]
    return {(int(a), int(b)) for a, b in alike}


def by_rensa_split(texts: list[str]) -> Pairs:
    return by_rensa(texts, split_grams)


def split_grams(text: str) -> set[str]:
    """The quickest way in plain Python: words are what stands between white space, punctuation included."""
    words = text.lower().split()
    return {" ".join(words[i : i + WORDS]) for i in range(max(1, len(words) - WORDS + 1))}


def by_rensa(texts: list[str], shingles: Callable[[str], set[str]] = grams) -> Pairs:
    from rensa import RMinHash

    keys: list[list[Any]] = []
    for text in texts:
        one = RMinHash(num_perm=BANDS * ROWS, seed=1)
        one.update(list(shingles(text)))
        keys.append(one.digest())
    return banded(np.array(keys, dtype=np.uint64))


def by_datasketch(texts: list[str]) -> Pairs:
    from datasketch import MinHash

    made = MinHash.bulk([[gram.encode() for gram in grams(text)] for text in texts], num_perm=BANDS * ROWS)
    return banded(np.array([one.hashvalues for one in made], dtype=np.uint64))


def banded(keys: np.ndarray) -> Pairs:
    """All pairs that agree in a band, with the same buckets for both libraries."""
    found: Pairs = set()
    for band in range(BANDS):
        buckets: dict[bytes, list[int]] = {}
        for i, row in enumerate(np.ascontiguousarray(keys[:, band * ROWS : (band + 1) * ROWS])):
            buckets.setdefault(row.tobytes(), []).append(i)
        found |= {(a, b) for own in buckets.values() for k, a in enumerate(own) for b in own[k + 1 :]}
    return found


def figures(found: Pairs, truth: dict[tuple[int, int], float], texts: list[str]) -> dict[str, float]:
    """Recall of planted pairs at 0.8; precision of all that was found, at 0.7 and at 0.8."""
    wanted = [pair for pair, value in truth.items() if value >= THRESHOLD]
    values = [truth.get(pair) or jaccard(grams(texts[pair[0]]), grams(texts[pair[1]])) for pair in found]
    return {
        "pairs": len(found),
        "recall_at_0.8": sum(pair in found for pair in wanted) / len(wanted),
        "precision_at_0.7": sum(value >= 0.7 for value in values) / max(1, len(values)),
        "precision_at_0.8": sum(value >= THRESHOLD for value in values) / max(1, len(values)),
    }


def main() -> None:
    import pyarrow.parquet as parquet

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus")
    parser.add_argument("--documents", type=int, default=67_751)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    texts, pairs = planted(parquet.read_table(asked.corpus)["text"].to_pylist(), asked.documents, seed=0)
    truth = {pair: jaccard(grams(texts[pair[0]]), grams(texts[pair[1]])) for pair in pairs}
    size = sum(len(text.encode()) for text in texts)
    print(f"{len(texts):,} documents, {size / 1e6:.1f} MB, {len(pairs):,} planted variants, one process")
    sides: dict[str, Callable[[list[str]], Pairs]] = {"tokenworth": ours}
    sides |= {"rensa": by_rensa, "rensa, split": by_rensa_split} if importlib.util.find_spec("rensa") else {}
    sides |= {"datasketch": by_datasketch} if importlib.util.find_spec("datasketch") else {}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    answers: dict[str, Pairs] = {}
    for _ in range(asked.rounds):
        for name, side in sides.items():
            begin = time.process_time()
            answers[name] = side(texts)
            seconds[name].append(time.process_time() - begin)
    rows = {
        name: {
            "docs_per_second": len(texts) / statistics.median(seconds[name]),
            **figures(answers[name], truth, texts),
        }
        for name in sides
    }
    for name, row in rows.items():
        print(f"{name:<14}" + "  ".join(f"{key} {value:,.3f}" for key, value in row.items()))
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
