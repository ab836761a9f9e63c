"""Output: the chosen documents of all shards, shuffled as a whole, as Parquet files of text.

Every shard is first written as one batch an output file; then every output file collects its batches and shuffles
them.  Neither step holds more than one shard or one output file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tokenworth.corpus.engine.shard_store import Shard, read_array, read_table, whole, write_arrays
from tokenworth.corpus.output.mixture_shares import order_in

_EDGES = tuple(2**power for power in range(4, 24, 1))


@dataclass(frozen=True, slots=True)
class MeasureJob:
    """Sizes of a shard's documents."""

    shard: Shard
    path: Path


def measure(job: MeasureJob) -> np.ndarray:
    """(N,) int64 bytes of each document, kept for the next time."""
    if not job.path.is_dir():
        sizes = np.array([one.size for one in job.shard.read()], dtype=np.int64)
        write_arrays(job.path, {"sizes": sizes})
    return read_array(job.path, "sizes")


@dataclass(frozen=True, slots=True)
class ScatterJob:
    """A shard's documents by output file."""

    shard: Shard
    plan: Path
    """Folder with `rows` (of the shard, repeated ones several times) and `file` (of each)."""
    files: int
    path: Path


def scatter(job: ScatterJob) -> None:
    """One batch an output file, empty ones among them."""
    import pyarrow as pa
    from pyarrow import ipc

    if job.path.is_file():
        return
    table = read_table(job.shard.path, ("id", "source", "text")).combine_chunks()
    rows, file = read_array(job.plan, "rows"), read_array(job.plan, "file")

    def write(path: Path) -> None:
        options = ipc.IpcWriteOptions(compression="lz4")
        with ipc.new_file(str(path), table.schema, options=options) as out:
            for number in range(job.files):
                own = table.take(pa.array(rows[file == number], pa.int64()))
                batches = own.combine_chunks().to_batches()
                out.write_batch(batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema))

    whole(job.path, write)


@dataclass(frozen=True, slots=True)
class CollectJob:
    """One output file."""

    scattered: tuple[Path, ...]
    number: int
    seed: int
    out: Path


def collect(job: CollectJob) -> dict[str, Any]:
    """Write it, unless it is there; documents and bytes by source, and lengths by power of two."""
    import pyarrow as pa
    from pyarrow import ipc, parquet

    if not job.out.is_file():
        batches = [ipc.open_file(pa.memory_map(str(path))).get_batch(job.number) for path in job.scattered]
        table = pa.Table.from_batches(batches)
        table = table.take(pa.array(order_in(job.number, len(table), job.seed)))
        whole(job.out, lambda path: parquet.write_table(table, path, compression="zstd", row_group_size=10_000))
    return _counts(job.out)


def _counts(path: Path) -> dict[str, Any]:
    from pyarrow import compute, parquet

    found: dict[str, Any] = {"documents": {}, "bytes": {}, "lengths": {}}
    for batch in parquet.ParquetFile(path).iter_batches(2000, columns=["source", "text"]):
        sizes = compute.binary_length(batch.column("text")).to_numpy(zero_copy_only=False)
        sources = np.array(batch.column("source").to_pylist(), dtype=str)
        for name in np.unique(sources).tolist():
            own = sizes[sources == name]
            found["documents"][name] = found["documents"].get(name, 0) + len(own)
            found["bytes"][name] = found["bytes"].get(name, 0) + int(own.sum())
        for edge in np.minimum(np.searchsorted(_EDGES, sizes), len(_EDGES) - 1):
            found["lengths"][str(_EDGES[edge])] = found["lengths"].get(str(_EDGES[edge]), 0) + 1
    return found


def added(parts: Sequence[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Counts of several files together."""
    total: dict[str, dict[str, int]] = {}
    for part in parts:
        for what, counts in part.items():
            own = total.setdefault(what, {})
            for name, number in counts.items():
                own[name] = own.get(name, 0) + number
    return total
