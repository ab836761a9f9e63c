"""What the terminal shows of a corpus that was built or audited, line by line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_MOST = 12
"""Reasons of a line."""
_COUNTED = {
    "not read": "refused",
    "languages": "languages",
    "to normalise": "to_normalise",
    "personal data": "personal",
    "low quality": "quality",
}
_PREDICTED = {"perplexity": "perplexity", "bits a byte": "bits_per_byte"}


def build_lines(report: Mapping[str, Any], place: Path) -> Iterator[str]:
    """Documents that are left after each stage, the mix and the tokens."""
    output = report["output"]
    yield f"{output['documents']:,} documents, {output['bytes'] / 1e6:,.2f} MB, in {place}"
    left = sum(row["taken"]["documents"] for row in report["stages"] if row["stage"] == "read")
    for stage in dict.fromkeys(row["stage"] for row in report["stages"]):
        dropped = Counter[str]()
        for row in report["stages"]:
            if row["stage"] == stage:
                dropped.update({reason: amount["documents"] for reason, amount in row["dropped"].items()})
        left -= dropped.total()
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in dropped.most_common())
        yield f"{stage:<14}{left:>12,} left{'; dropped: ' + reasons if reasons else ''}"
    for row in report["mix"]:
        shares = f"{row['got_share']:>8.2%} of the bytes, {row['wanted_share']:.2%} wanted"
        yield f"{row['source']:<24}{shares if row['available_bytes'] else '  nothing is left of it'}"
    for row in report["tokens"]:
        yield f"{row['source']:<24}{row['tokens']:>12,} tokens, {row['held_out_tokens']:,} of them held out"


def audit_lines(audit: Mapping[str, Any]) -> Iterator[str]:
    """Documents by source, then counts of what was found in them."""
    for source, amount in audit["sources"].items():
        yield f"{source:<24}{amount['documents']:>12,} documents{amount['bytes'] / 1e6:>12,.2f} MB"
    for title, name in {**_COUNTED, **(_PREDICTED if audit["bits_per_byte"] else {})}.items():
        counts = sorted(audit[name].items(), key=lambda pair: -pair[1])[:_MOST]
        yield f"{title:<24}{', '.join(f'{reason} {number:,}' for reason, number in counts) or 'none'}"
    for name, groups in audit["duplicates"].items():
        more = groups["documents"] - groups["clusters"]
        yield f"{name + ' duplicates':<24}{more:>12,} to drop, in {groups['clusters']:,} clusters"
    for row in audit["contamination"]:
        who = f"{row['task']} {row['split']}"
        yield f"{who:<24}{row['texts']:>12,} texts found in {row['documents']:,} documents"
