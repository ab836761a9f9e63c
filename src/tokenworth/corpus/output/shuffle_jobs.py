"""Output: the chosen documents of all shards, shuffled as a whole, as Parquet files of text.

Every shard is first written as one batch an output file; then every output file collects its batches and shuffles
them.  Neither step holds more than one shard or one output file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tokenworth.corpus.engine.shard_store import Shard, read_array, read_table, whole, write_arrays

_EDGES = tuple(2**power for power in range(4, 24, 1))
Counts = dict[str, Counter[str]]
"""documents and bytes by source, and lengths: documents by the power of two that their bytes do not exceed."""


def measure(shard: Shard) -> np.ndarray:
    """(N,) int64 bytes of each document, kept for the next time."""
    path = shard.path.with_suffix(".sizes")
    if not path.is_dir():
        write_arrays(path, {"sizes": np.array([document.size for document in shard.read()], dtype=np.int64)})
    return read_array(path, "sizes")


def scatter(shard: Shard, plan: Path, scattered: Path, files: int) -> None:
    """A shard's documents by output file: one batch a file, empty ones among them.

    Args:
        shard: of the chosen documents and others.
        plan: folder with `rows` (of the shard, repeated ones several times) and `file` (of each).
        scattered: where the batches are written.
        files: how many there are.
    """
    import pyarrow as pa
    from pyarrow import ipc

    if scattered.is_file():
        return
    table = read_table(shard.path, ("id", "source", "text")).combine_chunks()
    rows, file = read_array(plan, "rows"), read_array(plan, "file")

    def write(path: Path) -> None:
        options = ipc.IpcWriteOptions(compression="lz4")
        with ipc.new_file(str(path), table.schema, options=options) as out:
            for number in range(files):
                chosen = table.take(pa.array(rows[file == number], pa.int64()))
                batches = chosen.combine_chunks().to_batches()
                out.write_batch(batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema))

    whole(scattered, write)


def collect(scattered: Sequence[Path], number: int, seed: int, out: Path) -> Counts:
    """Write output file `number` unless it is there, and count what is in it."""
    import pyarrow as pa
    from pyarrow import ipc, parquet

    if not out.is_file():
        batches = [ipc.open_file(pa.memory_map(str(path))).get_batch(number) for path in scattered]
        table = pa.Table.from_batches(batches)
        table = table.take(pa.array(np.random.default_rng([seed, 1, number]).permutation(len(table))))
        whole(out, lambda path: parquet.write_table(table, path, compression="zstd", row_group_size=10_000))
    return _counts(out)


def _counts(path: Path) -> Counts:
    from pyarrow import compute, parquet

    counts: Counts = {"documents": Counter(), "bytes": Counter(), "lengths": Counter()}
    for batch in parquet.ParquetFile(path).iter_batches(2000, columns=["source", "text"]):
        sizes = compute.binary_length(batch.column("text")).to_numpy(zero_copy_only=False)
        sources = np.array(batch.column("source").to_pylist(), dtype=str)
        for name in np.unique(sources).tolist():
            counts["documents"][name] += int((sources == name).sum())
            counts["bytes"][name] += int(sizes[sources == name].sum())
        edges = np.minimum(np.searchsorted(_EDGES, sizes), len(_EDGES) - 1)
        counts["lengths"].update(str(_EDGES[edge]) for edge in edges)
    return counts


def added(parts: Sequence[Counts]) -> Counts:
    """Counts of several files together."""
    total: Counts = {}
    for part in parts:
        for what, counts in part.items():
            total.setdefault(what, Counter()).update(counts)
    return total
