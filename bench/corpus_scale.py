"""Near-duplicates among very many documents: time, memory, disk, and whether the planted ones are found.

    python bench/corpus_scale.py [--documents 1000000] [--workers 1]

Documents are 150 words drawn by Zipf's law; every twentieth is the one before with one word in a hundred
changed.  Only reading and `near` are run.  The sketches of longer documents are as large.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tokenworth.corpus.build import build
from tokenworth.corpus.corpus_file import load_corpus
from tokenworth.corpus.engine.engines import Local

WORDS, VOCABULARY, EVERY, CHANGED = 150, 60_000, 20, 0.01
THRESHOLD, RUN = 0.8, 5
_ROWS = 10_000
_PER_FILE = 100_000


def main() -> None:
    """Write the documents, build, print one line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        near, size = written(Path(folder), options.documents)
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            found = pool.submit(run, Path(folder), options.workers).result()
        disk = sum(path.stat().st_size for path in (Path(folder) / "out" / "work").rglob("*") if path.is_file())
    print(f"{options.documents:,} documents, {size / 1e6:,.0f} MB, {options.workers} worker(s)")
    print(f"{found['seconds']:,.0f} s, {options.documents / found['seconds']:,.0f} documents a second")
    print(f"peak memory of a process {found['memory']:,.0f} MB, work folder {disk / 1e6:,.0f} MB")
    print(f"pairs planted with a Jaccard of {THRESHOLD} or more {near:,}, dropped {found['dropped']:,}")


def written(folder: Path, documents: int) -> tuple[int, int]:
    """Parquet files of documents; how many are near-duplicates of the one before, and bytes of text."""
    rng = np.random.default_rng(0)
    chance = 1 / np.arange(1, VOCABULARY + 1)
    words = np.array([f"w{i:x}" for i in range(VOCABULARY)])
    near, size = 0, 0
    (folder / "docs").mkdir()
    for number, begin in enumerate(range(0, documents, _PER_FILE)):
        with pq.ParquetWriter(folder / "docs" / f"{number:04d}.parquet", pa.schema([("text", pa.string())])) as writer:
            for first in range(begin, min(begin + _PER_FILE, documents), _ROWS):
                rows = rng.choice(VOCABULARY, (min(_ROWS, documents - first), WORDS), p=chance / chance.sum())
                copies = np.arange(EVERY - 1, len(rows), EVERY)
                swapped = rng.random((len(copies), WORDS)) < CHANGED
                rows[copies] = np.where(swapped, rows[copies], rows[copies - 1])
                texts = [" ".join(words[row]) for row in rows]
                writer.write_table(pa.table({"text": texts}))
                near += sum(jaccard(rows[i - 1], rows[i]) >= THRESHOLD for i in copies)
                size += sum(map(len, texts))
    (folder / "corpus.yaml").write_text("sources:\n  a: {path: docs}\nstages: [near]\n")
    return near, size


def jaccard(one: np.ndarray, other: np.ndarray) -> float:
    """Of the sets of runs of five words."""
    sets = [set(map(bytes, np.lib.stride_tricks.sliding_window_view(words, RUN))) for words in (one, other)]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def run(folder: Path, workers: int) -> dict[str, float]:
    """Read, compare, write, in a process of its own."""
    begun = time.perf_counter()
    with closing(Local(workers)) as engine:
        flow = build(load_corpus(folder / "corpus.yaml"), folder / "out", engine=engine)
    clusters = flow.clusters["near"]
    memory = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    dropped = clusters["documents"] - clusters["clusters"]
    return {"seconds": time.perf_counter() - begun, "memory": memory / 1e3, "dropped": dropped}


if __name__ == "__main__":
    main()
