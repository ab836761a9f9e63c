"""Personal data by rules: what looks like it and passes its check is replaced by its type.

Rules (`personal.py`) are tried in order, and of two findings that overlap the one of the earlier rule counts.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

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
        names: also finds PERSON and PLACE, such as `names.recogniser()`; what a rule found goes before.

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
            found = [one for one in _found(rule, text) if 1 not in covered[one.start : one.end]]
            for one in found:
                covered[one.start : one.end] = b"\x01" * (one.end - one.start)
            taken += found
    wanted = [one for one in taken if types is None or one.type in types]
    if names is not None:
        wanted += _beside(wanted, names(text), len(text))
    wanted.sort(key=lambda one: one.start)
    return _replaced(text, wanted), wanted


def _beside(taken: Sequence[Finding], names: Sequence[Finding], size: int) -> list[Finding]:
    """Names that touch nothing found before; of those that overlap the first."""
    covered = bytearray(size)
    for one in taken:
        covered[one.start : one.end] = b"\x01" * (one.end - one.start)
    found = []
    for one in sorted(names, key=lambda one: (one.start, -one.end)):
        if one.end > one.start and 1 not in covered[one.start : one.end]:
            covered[one.start : one.end] = b"\x01" * (one.end - one.start)
            found.append(one)
    return found


def _found(rule: Rule, text: str) -> list[Finding]:
    """What a rule finds, from left to right; a pattern may reach further than what is found in its match."""
    findings, place = [], 0
    while match := rule.pattern.search(text, place):
        span = rule.span(match)
        if span is not None:
            findings.append(Finding(rule.type, *span))
        place = match.end() if span is None else span[1]
    return findings


def _replaced(text: str, findings: list[Finding]) -> str:
    parts, last = [], 0
    for one in findings:
        parts += [text[last : one.start], f"<{one.type}>"]
        last = one.end
    return "".join([*parts, text[last:]])
