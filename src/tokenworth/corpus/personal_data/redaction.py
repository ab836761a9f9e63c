"""Personal data by rules: what looks like it and passes its check is replaced by its type.

Rules (`rules.py`) are tried in order, and of two findings that overlap the one of the earlier rule counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from tokenworth.corpus.personal_data.entity_names import Recogniser
from tokenworth.corpus.personal_data.rules import RULES, Finding, Rule
from tokenworth.errors import SettingError

TYPES = tuple(dict.fromkeys(rule.type for rule in RULES))
"""The types there are."""
_TESTS = tuple(dict.fromkeys(rule.may_hold for rule in RULES))


def redact(
    text: str, types: Collection[str] | None = None, *, names: Recogniser | None = None
) -> tuple[str, list[Finding]]:
    """Text with personal data replaced by placeholders such as <EMAIL>, and what was found.

    Found are e-mail addresses, phone numbers, US social security numbers, IBANs (checksum modulo 97), card numbers
    (Luhn's checksum, and a known network's prefix or a word that says card), IPv4 and IPv6 addresses, and access keys
    (of known forms, private keys, values assigned to names such as `password`); names of persons and places with a
    recogniser alone.

    Args:
        text: any text.
        types: those wanted, of `TYPES`; None takes all.
        names: also finds PERSON and PLACE, such as `entity_names.recogniser()`; what a rule found goes before.

    Returns:
        The text, and findings in order of their places in the input; text[start:end] is what was replaced.

    Raises:
        SettingError: a type that does not exist, or a library of the extra `corpus` is not installed.
    """
    if unknown := set(types or ()) - set(TYPES):
        raise SettingError(f"redaction knows no type {min(unknown)!r}; there are {', '.join(TYPES)}")
    taken: list[Finding] = []
    may_hold = {test: test(text) for test in _TESTS}
    covered = bytearray(len(text) if any(may_hold.values()) else 0)
    for rule in RULES:
        if may_hold[rule.may_hold]:
            taken += _uncovered(_matches(rule, text), covered)
    wanted = [finding for finding in taken if types is None or finding.type in types]
    if names is not None:
        covered = bytearray(len(text))
        _uncovered(wanted, covered)
        in_order = sorted(names(text), key=lambda finding: (finding.start, -finding.end))
        wanted += _uncovered((finding for finding in in_order if finding.end > finding.start), covered)
    wanted.sort(key=lambda finding: finding.start)
    return _replaced(text, wanted), wanted


def _uncovered(findings: Iterable[Finding], covered: bytearray) -> list[Finding]:
    """Those that touch nothing that is covered, which then are themselves."""
    free = []
    for finding in findings:
        if 1 not in covered[finding.start : finding.end]:
            covered[finding.start : finding.end] = b"\x01" * (finding.end - finding.start)
            free.append(finding)
    return free


def _matches(rule: Rule, text: str) -> Iterator[Finding]:
    """What a rule finds, from left to right; a pattern may reach further than what is found in its match."""
    place = 0
    while match := rule.pattern.search(text, place):
        span = rule.span(match)
        if span is not None:
            yield Finding(rule.type, *span)
        place = match.end() if span is None else span[1]


def _replaced(text: str, findings: list[Finding]) -> str:
    parts, last = [], 0
    for finding in findings:
        parts += [text[last : finding.start], f"<{finding.type}>"]
        last = finding.end
    return "".join([*parts, text[last:]])
