"""Sentences about what a build lost, where that is more than anyone would expect."""

from __future__ import annotations

from collections import defaultdict
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
        for stage, ledgers in history
        if stage not in _DUPLICATES
        for source, ledger in ledgers.items()
        if ledger.taken.documents and _dropped(ledger) >= _MUCH * ledger.taken.documents
    ]


def _dropped(ledger: Ledger) -> int:
    return sum(amount.documents for amount in ledger.dropped.values())


def _sentence(stage: str, source: str, ledger: Ledger) -> str:
    reasons = sorted(ledger.dropped.items(), key=lambda item: (-item[1].documents, item[0]))
    listed = ", ".join(f"{reason} {amount.documents:,}" for reason, amount in reasons[:3])
    share = "all" if _dropped(ledger) == ledger.taken.documents else f"{_dropped(ledger):,} of"
    what = f"{stage} dropped {share} {ledger.taken.documents:,} documents of source {source} ({listed})"
    if stage == "read":
        return f"{what}; the sentences about its files say why"
    rule = f"write '{reasons[0][0]}: null' under quality, or " if stage == Quality.name else ""
    return f"{what}; if that is not meant, {rule}write 'skip: [{stage}]' at the source"


def language_notes(history: History) -> Iterator[str]:
    """Which quality rules say nothing of some languages, and of how many documents."""
    by_rule: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for _, ledgers in history:
        for ledger in ledgers.values():
            for name, number in ledger.facts.get(NOT_APPLIED, {}).items():
                rule, _, language = name.partition(": ")
                by_rule[rule][language] += number
    alike: dict[tuple[tuple[str, int], ...], list[str]] = defaultdict(list)
    for rule, languages in by_rule.items():
        alike[tuple(sorted(languages.items(), key=lambda item: (-item[1], item[0])))].append(rule)
    for counts, rules in alike.items():
        listed = ", ".join(f"{language} {number:,}" for language, number in counts[:8])
        yield f"quality: not applied where they say nothing of the language: {', '.join(rules)} (documents: {listed})"
