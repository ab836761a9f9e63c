"""Sentences about what a build lost, where that is more than anyone would expect, or everything."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from tokenworth.corpus.document import Ledger
from tokenworth.corpus.filters.document_stages import NOT_APPLIED, Quality

History = Sequence[tuple[str, Mapping[str, Ledger]]]
_MUCH = 0.5
"""Share of a source's documents from which on a stage's loss is told."""
_DUPLICATES = ("exact", "near", "semantic")


def loss_notes(history: History) -> list[str]:
    """For each stage and source of which it dropped half of the documents or more: which rules did, and what to do."""
    return [
        _sentence(stage, source, ledger)
        for stage, by_source in history
        if stage not in _DUPLICATES
        for source, ledger in by_source.items()
        if ledger.taken.documents and _dropped(ledger).total() >= _MUCH * ledger.taken.documents
    ]


def _dropped(ledger: Ledger) -> Counter[str]:
    return Counter({reason: amount.documents for reason, amount in ledger.dropped.items()})


def _sentence(stage: str, source: str, ledger: Ledger) -> str:
    dropped, taken = _dropped(ledger), ledger.taken.documents
    reasons = sorted(dropped, key=lambda reason: (-dropped[reason], reason))[:3]
    listed = ", ".join(f"{reason} {dropped[reason]:,}" for reason in reasons)
    share = "all" if dropped.total() == taken else f"{dropped.total():,} of"
    what = f"{stage} dropped {share} {taken:,} documents of source {source} ({listed})"
    if stage == "read":
        return f"{what}; the sentences about its files say why"
    rule = f"write '{reasons[0]}: null' under quality, or " if stage == Quality.name else ""
    return f"{what}; if that is not meant, {rule}write 'skip: [{stage}]' at the source"


def losses(history: History) -> str:
    """What each stage dropped and why, in words."""
    parts = []
    for stage, by_source in history:
        dropped = _dropped(Ledger.total(by_source.values()))
        why = ", ".join(f"{reason} {number:,}" for reason, number in dropped.most_common(3))
        parts += [f"{stage} dropped {dropped.total():,} ({why})"] if dropped else []
    return ", ".join(parts) or "none was read"


def language_notes(total: Ledger) -> Iterator[str]:
    """Which quality rules say nothing of some languages, and of how many documents."""
    by_rule: dict[str, dict[str, int]] = defaultdict(dict)
    for name, number in total.facts.get(NOT_APPLIED, {}).items():
        rule, _, language = name.partition(": ")
        by_rule[rule][language] = number
    alike: dict[tuple[tuple[str, int], ...], list[str]] = defaultdict(list)
    for rule, languages in by_rule.items():
        alike[tuple(sorted(languages.items(), key=lambda item: (-item[1], item[0])))].append(rule)
    for counts, rules in alike.items():
        listed = ", ".join(f"{language} {number:,}" for language, number in counts[:8])
        yield f"quality: not applied where they say nothing of the language: {', '.join(rules)} (documents: {listed})"
