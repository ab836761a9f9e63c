"""Where every document went, as plain data: what report.json holds and the page shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from tokenworth.corpus.corpus_settings import Corpus
from tokenworth.corpus.document import Ledger
from tokenworth.corpus.engine.flow import Flow, ledgers
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
    clusters: dict[str, Any]
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
    written = read_json(out / CORPUS)
    every = [ledger for _, by_source in history for ledger in by_source.values()]
    together = [(stage, _together(by_source.values())) for stage, by_source in history]
    return {
        "schema": SCHEMA,
        "name": flow.corpus.name,
        "stages": stage_rows(history),
        "facts": _facts(ledger for _, ledger in together),
        "samples": [{"stage": stage, **sample} for stage, ledger in together for sample in ledger.samples],
        "clusters": flow.clusters,
        "contamination": contamination_rows(every),
        "lengths": written["lengths"],
        "mix": mix_rows(written),
        "variety": written["variety"],
        "tokens": token_rows(tokens or {}),
        "synthetic_share": _synthetic_share(written),
        "output": {
            "documents": sum(written["documents"].values()),
            "bytes": sum(written["bytes"].values()),
            "files": written["files"],
        },
        "notes": [*flow.notes, *loss_notes(history), *language_notes(history), *_notes(history)],
        "settings": settings_of(flow.corpus),
        "version": __version__,
    }


def stage_rows(history: Sequence[tuple[str, Mapping[str, Ledger]]]) -> list[StageRow]:
    """One row a stage and source."""
    rows: list[StageRow] = []
    for stage, by_source in history:
        for source, ledger in by_source.items():
            content = ledger.as_json()
            rows.append(
                {
                    "stage": stage,
                    "source": source,
                    "taken": content["taken"],
                    "given": content["given"],
                    "dropped": content["dropped"],
                    "changed": content["changed"],
                }
            )
    return rows


def _together(ledgers_of_stage: Iterable[Ledger]) -> Ledger:
    total = Ledger()
    for ledger in ledgers_of_stage:
        total.add(ledger)
    return total


def _facts(stages: Iterable[Ledger]) -> dict[str, dict[str, int]]:
    """Counts added up, without the texts of tasks, which `contamination_rows` counts."""
    facts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for ledger in stages:
        for fact, counts in ledger.facts.items():
            for name, number in counts.items():
                facts[fact][name] += number
    facts.pop("task texts found", None)
    return {fact: dict(counts) for fact, counts in facts.items()}


def contamination_rows(every: Sequence[Ledger]) -> list[ContaminationRow]:
    """By task and split: documents that hold some of its texts, and how many different texts they hold."""
    documents: dict[str, int] = defaultdict(int)
    texts: dict[str, set[str]] = defaultdict(set)
    for ledger in every:
        for name, number in ledger.facts.get("contaminated documents", {}).items():
            documents[name] += number
        for name in ledger.facts.get("task texts found", {}):
            task_split, _, row = name.rpartition(" ")
            texts[task_split].add(row)
    ordered = sorted(documents.items(), key=lambda item: (item[0].rpartition(" ")[2] != "test", item[0]))
    return [
        {"task": task, "split": split, "documents": number, "texts": len(texts[name])}
        for name, number in ordered
        for task, _, split in [name.rpartition(" ")]
    ]


def mix_rows(written: Mapping[str, Any]) -> list[MixRow]:
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


def token_rows(packed: Mapping[str, Mapping[str, Any]]) -> list[TokenRow]:
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


def _synthetic_share(written: Mapping[str, Any]) -> float:
    synthetic = sum(written["bytes"].get(source, 0) for source in written["synthetic"])
    return float(synthetic / sum(written["bytes"].values()))


def _notes(history: Sequence[tuple[str, Mapping[str, Ledger]]]) -> list[str]:
    """What could not be read; beyond 200 sentences their number."""
    notes = [note for _, by_source in history for ledger in by_source.values() for note in ledger.notes]
    more = [f"and {len(notes) - _MOST_NOTES:,} more like these"] if len(notes) > _MOST_NOTES else []
    return notes[:_MOST_NOTES] + more


def settings_of(corpus: Corpus) -> dict[str, Any]:
    """What the corpus file said, defaults filled in."""
    stated = asdict(corpus)
    stated["sources"] = {source.pop("name"): source for source in stated["sources"]}
    stated["stages"] = {stage.name: asdict(stage) for stage in corpus.stages}
    if corpus.pack is None:
        del stated["pack"]
    for settings in stated["stages"].values():
        for name in FILLED_IN:
            settings.pop(name, None)
    return stated
