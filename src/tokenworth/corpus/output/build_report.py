"""Where every document went, as plain data: what report.json holds and the page shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tokenworth.corpus.corpus_settings import Corpus
from tokenworth.corpus.document import Ledger
from tokenworth.corpus.engine.flow import Flow, ledgers
from tokenworth.corpus.engine.shard_store import read_json
from tokenworth.corpus.engine.stage import FILLED_IN
from tokenworth.corpus.output.loss_notes import language_notes, loss_notes
from tokenworth.corpus.output.output_files import CORPUS
from tokenworth.version import __version__

_MOST_NOTES = 200
Row = dict[str, Any]


def describe(flow: Flow, out: Path, *, tokens: Mapping[str, Row] | None = None) -> Row:
    """The report of a finished build.

    Args:
        flow: what `build` returned.
        out: its folder.
        tokens: what was packed of each source, as plain data.
    """
    history = ledgers(flow)
    written = read_json(out / CORPUS)
    return {
        "name": flow.corpus.name,
        **stages_of(history),
        "clusters": flow.clusters,
        "contamination": contamination_rows([ledger for _, own in history for ledger in own.values()]),
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


def stages_of(history: Sequence[tuple[str, Mapping[str, Ledger]]]) -> Row:
    """`stages` (one row a stage and source), `facts` added up, and `samples`."""
    rows, samples = [], []
    facts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for stage, own in history:
        together = Ledger()
        for source, ledger in own.items():
            found = ledger.as_json()
            rows.append(
                {"stage": stage, "source": source, **{k: found[k] for k in ("taken", "given", "dropped", "changed")}}
            )
            together.add(ledger)
        samples += [{"stage": stage, **sample} for sample in together.samples]
        for fact, counts in together.facts.items():
            for name, number in counts.items():
                facts[fact][name] += number
    facts.pop("task texts found", None)
    return {"stages": rows, "facts": {fact: dict(counts) for fact, counts in facts.items()}, "samples": samples}


def contamination_rows(found: Sequence[Ledger]) -> list[Row]:
    """By task and split: documents that hold some of its texts, and how many different texts they hold."""
    documents: dict[str, int] = defaultdict(int)
    texts: dict[str, set[str]] = defaultdict(set)
    for ledger in found:
        for name, number in ledger.facts.get("contaminated documents", {}).items():
            documents[name] += number
        for name in ledger.facts.get("task texts found", {}):
            task_split, _, row = name.rpartition(" ")
            texts[task_split].add(row)
    return [
        {"task": name.rpartition(" ")[0], "split": name.rpartition(" ")[2], "documents": number,
         "texts": len(texts[name])}
        for name, number in sorted(documents.items(), key=lambda one: (one[0].rpartition(" ")[2] != "test", one[0]))
    ]  # fmt: skip


def mix_rows(written: Mapping[str, Any]) -> list[Row]:
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


def token_rows(packed: Mapping[str, Row]) -> list[Row]:
    """By source: tokens and documents of its shards, held-out ones among them, and bytes a token."""
    rows = []
    for source, own in packed.items():
        tokens = own["train_tokens"] + own["held_tokens"]
        rows.append({
            "source": source, "tokens": tokens, "held_out_tokens": own["held_tokens"],
            "documents": own["train_documents"] + own["held_documents"], "shards": len(own["train"]) + len(own["held"]),
            "bytes_per_token": (own["train_bytes"] + own["held_bytes"]) / tokens,
        })  # fmt: skip
    return rows


def _synthetic_share(written: Mapping[str, Any]) -> float:
    own = sum(written["bytes"].get(source, 0) for source in written["synthetic"])
    return own / sum(written["bytes"].values())


def _notes(history: Sequence[tuple[str, Mapping[str, Ledger]]]) -> list[str]:
    """What could not be read; beyond 200 sentences their number."""
    notes = [note for _, own in history for ledger in own.values() for note in ledger.notes]
    more = [f"and {len(notes) - _MOST_NOTES:,} more like these"] if len(notes) > _MOST_NOTES else []
    return notes[:_MOST_NOTES] + more


def settings_of(corpus: Corpus) -> Row:
    """What the corpus file said, defaults filled in."""
    found = asdict(corpus)
    found["sources"] = {one.pop("name"): one for one in found["sources"]}
    found["stages"] = {stage.name: asdict(stage) for stage in corpus.stages}
    if corpus.pack is None:
        del found["pack"]
    for own in found["stages"].values():
        for name in FILLED_IN:
            own.pop(name, None)
    return found
