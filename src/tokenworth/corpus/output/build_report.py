"""Where every document went, as plain data: what report.json holds and the page shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from tokenworth.corpus.corpus_settings import Corpus
from tokenworth.corpus.deduplication.near_duplicates import ClusterSizes
from tokenworth.corpus.document import Ledger
from tokenworth.corpus.engine.pipeline import Flow, ledgers
from tokenworth.corpus.engine.shard_store import read_json
from tokenworth.corpus.engine.stage import FILLED_IN
from tokenworth.corpus.output.loss_notes import language_notes, loss_notes
from tokenworth.corpus.output.output_files import CORPUS
from tokenworth.version import __version__

_MOST_NOTES = 200
SCHEMA = 1


class AmountRow(TypedDict):
    """So much text."""

    documents: int
    bytes: int


class StageRow(TypedDict):
    """What a stage did to a source; dropped and changed by reason."""

    stage: str
    source: str
    taken: AmountRow
    given: AmountRow
    dropped: dict[str, AmountRow]
    changed: dict[str, AmountRow]


class ContaminationRow(TypedDict):
    """Documents that hold texts of a task's split, and how many different texts they hold."""

    task: str
    split: str
    documents: int
    texts: int


class MixRow(TypedDict):
    """What was wanted of a source and what there is of it in the output; shares are of bytes."""

    source: str
    weight: float | None
    available_bytes: int
    wanted_share: float
    got_share: float
    documents: int
    bytes: int
    synthetic: bool
    annealing_share: float | None


class TokenRow(TypedDict):
    """What was packed of a source."""

    source: str
    tokens: int
    held_out_tokens: int
    documents: int
    shards: int
    bytes_per_token: float


class CorpusReport(TypedDict):
    """What report.json holds."""

    schema: int
    name: str
    stages: list[StageRow]
    facts: dict[str, dict[str, int]]
    samples: list[dict[str, str]]
    clusters: dict[str, ClusterSizes]
    contamination: list[ContaminationRow]
    lengths: dict[str, int]
    mix: list[MixRow]
    variety: list[dict[str, Any]]
    tokens: list[TokenRow]
    synthetic_share: float
    output: dict[str, int]
    notes: list[str]
    settings: dict[str, Any]
    version: str


def describe(flow: Flow, out: Path, *, tokens: Mapping[str, Mapping[str, Any]] | None = None) -> CorpusReport:
    """The report of a finished build.

    Args:
        flow: what `build` returned.
        out: its folder.
        tokens: what was packed of each source, as plain data.
    """
    history = ledgers(flow)
    by_stage = [(stage, Ledger.total(by_source.values())) for stage, by_source in history]
    total = Ledger.total(ledger for _, ledger in by_stage)
    beyond = len(total.notes) - _MOST_NOTES
    more = [f"and {beyond:,} more like these"] if beyond > 0 else []
    written = read_json(out / CORPUS)
    documents, size = sum(written["documents"].values()), sum(written["bytes"].values())
    return {
        "schema": SCHEMA,
        "name": flow.corpus.name,
        "stages": _stage_rows(history),
        # without the texts of tasks, which `contamination` counts
        "facts": {fact: counts for fact, counts in total.facts.items() if fact != "task texts found"},
        "samples": [{"stage": stage, **sample} for stage, ledger in by_stage for sample in ledger.samples],
        "clusters": flow.clusters,
        "contamination": contamination_rows(total),
        "lengths": written["lengths"],
        "mix": _mix_rows(written),
        "variety": written["variety"],
        "tokens": _token_rows(tokens or {}),
        "synthetic_share": float(sum(written["bytes"].get(source, 0) for source in written["synthetic"]) / size),
        "output": {"documents": documents, "bytes": size, "files": written["files"]},
        "notes": [*flow.notes, *loss_notes(history), *language_notes(total), *total.notes[:_MOST_NOTES], *more],
        "settings": _settings(flow.corpus),
        "version": __version__,
    }


def _stage_rows(history: Sequence[tuple[str, Mapping[str, Ledger]]]) -> list[StageRow]:
    contents = [(stage, source, ledger.as_json()) for stage, each in history for source, ledger in each.items()]
    return [
        {
            "stage": stage,
            "source": source,
            "taken": content["taken"],
            "given": content["given"],
            "dropped": content["dropped"],
            "changed": content["changed"],
        }
        for stage, source, content in contents
    ]


def contamination_rows(total: Ledger) -> list[ContaminationRow]:
    """By task and split: documents that hold some of its texts, and how many different texts they hold."""
    documents = total.facts.get("contaminated documents", {})
    texts = Counter(name.rpartition(" ")[0] for name in total.facts.get("task texts found", {}))
    ordered = sorted(documents, key=lambda name: (name.rpartition(" ")[2] != "test", name))
    return [
        {"task": task, "split": split, "documents": documents[name], "texts": texts[name]}
        for name in ordered
        for task, _, split in [name.rpartition(" ")]
    ]


def _mix_rows(written: Mapping[str, Any]) -> list[MixRow]:
    """By source: share of the output's bytes that was wanted and that it got, and of the tokens when annealing."""
    total = sum(written["bytes"].values())
    return [
        {
            "source": source,
            "weight": written["weights"][source],
            "available_bytes": written["available"][source],
            "wanted_share": share,
            "got_share": written["bytes"].get(source, 0) / total,
            "documents": written["documents"].get(source, 0),
            "bytes": written["bytes"].get(source, 0),
            "synthetic": source in written["synthetic"],
            "annealing_share": written["annealing"].get(source),
        }
        for source, share in written["wanted_share"].items()
    ]


def _token_rows(packed: Mapping[str, Mapping[str, Any]]) -> list[TokenRow]:
    """By source: tokens and documents of its shards, held-out ones among them, and bytes a token."""
    return [
        {
            "source": source,
            "tokens": row["train_tokens"] + row["held_tokens"],
            "held_out_tokens": row["held_tokens"],
            "documents": row["train_documents"] + row["held_documents"],
            "shards": len(row["train"]) + len(row["held"]),
            "bytes_per_token": (row["train_bytes"] + row["held_bytes"]) / (row["train_tokens"] + row["held_tokens"]),
        }
        for source, row in packed.items()
    ]


def _settings(corpus: Corpus) -> dict[str, Any]:
    """What the corpus file said, defaults filled in."""
    stated = asdict(corpus)
    stated["sources"] = {source.pop("name"): source for source in stated["sources"]}
    stated["stages"] = {
        stage.name: {name: value for name, value in asdict(stage).items() if name not in FILLED_IN}
        for stage in corpus.stages
    }
    if corpus.pack is None:
        del stated["pack"]
    return stated
