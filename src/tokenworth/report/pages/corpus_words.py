"""What came of a corpus, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tokenworth.report.displayed_values import clean

if TYPE_CHECKING:
    from tokenworth.corpus.output.build_report import AmountRow, CorpusReport

_MOST_REASONS = 3


def size_text(size: float) -> str:
    """Bytes of text: 349.9 kB, 1.55 MB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if size >= scale:
            return f"{size / scale:,.2f} {unit}"
    return f"{size / 1e3:,.1f} kB"


def added(amounts: Sequence[AmountRow]) -> AmountRow:
    """Documents and bytes together."""
    return {
        "documents": sum(amount["documents"] for amount in amounts),
        "bytes": sum(amount["bytes"] for amount in amounts),
    }


def amounts_read(report: CorpusReport) -> AmountRow:
    """What all sources held."""
    return added([row["taken"] for row in report["stages"] if row["stage"] == "read"])


def looked_for_tasks(report: CorpusReport) -> bool:
    """Whether texts of tasks were looked for."""
    return any(row["stage"] == "decontaminate" for row in report["stages"])


def corpus_sentences(report: CorpusReport) -> list[str]:
    """How much is left, where the most was lost, and whether test texts are in it."""
    read, output = amounts_read(report), report["output"]
    share = f" ({output['documents'] / read['documents']:.0%})" if read["documents"] else ""
    kept = f"{output['documents']:,} of the {read['documents']:,} documents read{share} are in the corpus: "
    return [
        f"{kept}{size_text(output['bytes'])} of {size_text(read['bytes'])}.",
        *_losses(report),
        *_mix(report),
        _tasks(report),
    ]


def _losses(report: CorpusReport) -> list[str]:
    lost: Counter[str] = Counter()
    for row in report["stages"]:
        for reason, amount in row["dropped"].items():
            lost[f"{row['stage']}, {reason}"] += amount["documents"]
    parts = [f"{clean(reason)} ({count:,})" for reason, count in lost.most_common(_MOST_REASONS) if count]
    return [f"Most documents were dropped by {'; '.join(parts)}."] if parts else []


def _mix(report: CorpusReport) -> list[str]:
    gaps = [(abs(row["got_share"] - row["wanted_share"]), row) for row in report["mix"]]
    if not gaps:
        return []
    _, row = max(gaps, key=lambda pair: pair[0])
    where = f"{clean(row['source'])} with {row['got_share']:.1%} of the bytes where {row['wanted_share']:.1%}"
    return [f"Furthest from the mix that was asked for is {where} were wanted."]


def _tasks(report: CorpusReport) -> str:
    if not looked_for_tasks(report):
        return "Texts of tasks were not looked for."
    spoilt = sum(row["documents"] for row in report["contamination"] if row["split"] == "test")
    if not spoilt:
        return "Test texts of tasks were looked for, and none was found."
    return f"Test texts of tasks were found in {spoilt:,} of the documents read."
