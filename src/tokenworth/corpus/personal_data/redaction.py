"""Personal data by rules: what looks like it and passes its check is replaced by its type.

A rule is a cheap test that a text may hold some, a pattern, and a check of what the pattern found.  Rules are tried in
order, and of two findings that overlap the one of the earlier rule counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import tokenworth.corpus.personal_data.phone_numbers as phone_numbers
from tokenworth.base.keywords import known_keywords
from tokenworth.corpus.personal_data.account_numbers import CARD, IBAN, SSN, card_span, iban_span, ssn_span
from tokenworth.corpus.personal_data.network_addresses import IPV4, IPV6, ipv4_span, ipv6_span
from tokenworth.errors import SettingError

if TYPE_CHECKING:
    from tokenworth.corpus.personal_data.entity_names import Recogniser


class Finding(NamedTuple):
    """Something personal at text[start:end]."""

    type: str
    """EMAIL, PHONE, IBAN, ..., which stands as <EMAIL> in its place."""
    start: int
    """Characters from the beginning of the text as it was given."""
    end: int
    """The first character behind it, counted in the same way."""


class Rule(NamedTuple):
    """How one type is found."""

    type: str
    may_hold: Callable[[str], object]
    pattern: re.Pattern[str]
    span: Callable[[re.Match[str]], tuple[int, int] | None] = re.Match.span
    """Where in a match it stands; None if it is something else."""


def _secret_span(match: re.Match[str]) -> tuple[int, int] | None:
    """Of a value one would not write out as a word: long, with a digit and a letter."""
    value = match.group("secret")
    is_secret = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
    return match.span("secret") if is_secret else None


_HAS_DIGITS = re.compile(r"\d(?:[ \-./()\u00a0\u2009\u202f\u2010-\u2013]{0,2}\d){6}|[A-Za-z]{2}\W?\d\d\W?[A-Za-z]{4}")
_HAS_ADDRESS = re.compile(r"\.\d{1,3}\.\d{1,3}\.\d")
_HAS_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
_KEYS = {
    "AKIA": r"[0-9A-Z]{16}\b",
    "ASIA": r"[0-9A-Z]{16}\b",
    **{f"gh{letter}_": r"[A-Za-z0-9]{36,255}\b" for letter in "pousr"},
    "github_pat_": r"[A-Za-z0-9_]{22,255}\b",
    "glpat-": r"[A-Za-z0-9_-]{20,255}",
    "xox": r"[abeoprs]-[A-Za-z0-9-]{10,255}",
    "AIza": r"[0-9A-Za-z_-]{35}\b",
    **{f"{who}k_{where}_": r"[0-9a-zA-Z]{16,255}\b" for who in "rs" for where in ("live", "test")},
    "sk-": r"(?:[a-z]{2,8}-){0,3}(?=[a-z_-]{0,19}[A-Z0-9])[A-Za-z0-9_-]{20,255}",
    "hf_": r"[A-Za-z0-9]{30,255}\b",
    "npm_": r"[A-Za-z0-9]{36}\b",
    "pypi-": r"[A-Za-z0-9_-]{32,255}",
    "eyJ": r"[A-Za-z0-9_-]{8,2000}\.eyJ[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{8,2000}",
    "-----BEGIN ": r"[A-Z ]{0,20}PRIVATE KEY-----(?:[^-]{0,8000}-----END [A-Z ]{0,20}PRIVATE KEY-----)?",
}
"""What keys of known services begin with, and how they go on."""
_NAMES = ("pass", "secret", "token", "key", "Pass", "Secret", "Token", "Key", "PASS", "SECRET", "TOKEN", "KEY")


def _key_rule(begin: str, rest: str) -> Rule:
    """A pattern that starts with its literal beginning is searched for as fast as that; the word's edge comes after."""
    return Rule("KEY", lambda text: begin in text, re.compile(f"{begin}(?<!\\w{begin}){rest}"))


RULES = (
    *(_key_rule(begin, rest) for begin, rest in _KEYS.items()),
    Rule(
        "KEY",
        lambda text: any(name in text for name in _NAMES),
        re.compile(
            r"(?i:\b(?:password|passwd|secret|token|(?:api|access|auth|secret|private)[_-]?key)\b[\"']?\s?[:=]\s?)"
            r"[\"']?(?P<secret>[A-Za-z0-9+/_.!@#$%^&*-]{8,200})"
        ),
        _secret_span,
    ),
    Rule(
        "EMAIL",
        lambda text: "@" in text,
        re.compile(
            r"(?<![\w.+%-])[\w][\w.+%-]{0,63}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}(?:[^\W\d_]{2,24}|xn--[a-z0-9-]{2,50})"
            r"(?![\w-])"
        ),
    ),
    Rule("IBAN", _HAS_DIGITS.search, IBAN, iban_span),
    Rule("CARD", _HAS_DIGITS.search, CARD, card_span),
    Rule("SSN", _HAS_DIGITS.search, SSN, ssn_span),
    Rule("IP", _HAS_ADDRESS.search, IPV4, ipv4_span),
    Rule("IP", _HAS_COLONS.search, IPV6, ipv6_span),
    Rule("PHONE", _HAS_DIGITS.search, phone_numbers.PATTERN, phone_numbers.phone_span),
)
TYPES = tuple(dict.fromkeys(rule.type for rule in RULES))
"""The types there are."""
_TESTS = tuple(dict.fromkeys(rule.may_hold for rule in RULES))


@known_keywords
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
