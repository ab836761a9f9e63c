"""Rules of personal data: a cheap test that a text may hold some, a pattern, and a check of what the pattern found."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address


@dataclass(frozen=True, slots=True)
class Finding:
    """Something personal at text[start:end]."""

    type: str
    start: int
    """Characters from the beginning of the text as it was given."""
    end: int


@dataclass(frozen=True, slots=True)
class Rule:
    """How one type is found."""

    type: str
    may_hold: Callable[[str], object]
    pattern: re.Pattern[str]
    check: Callable[[re.Match[str]], bool] = lambda _: True


def _digits(text: str) -> str:
    return "".join(letter for letter in text if letter.isdigit())


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def _is_card(match: re.Match[str]) -> bool:
    digits = _digits(match.group())
    return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and luhn(digits)


def _is_iban(match: re.Match[str]) -> bool:
    """Country's length where it is known, and 1 modulo 97 after moving the first four to the end (ISO 13616)."""
    plain = match.group().replace(" ", "").upper()
    if len(plain) != _IBAN_LENGTHS.get(plain[:2], len(plain)) or not 15 <= len(plain) <= 34:
        return False
    return int("".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])) % 97 == 1


def _is_ssn(match: re.Match[str]) -> bool:
    area, group, serial = match.group(1), match.group(2), match.group(3)
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def _is_ipv4(match: re.Match[str]) -> bool:
    """An address, not a version: those stand behind a word for it, or number small things only."""
    try:
        address = IPv4Address(match.group())
    except AddressValueError:
        return False
    before = match.string[max(0, match.start() - 24) : match.start()]
    return not _VERSION_BEFORE.search(before) and address not in _UNSPECIFIC


def _is_ipv6(match: re.Match[str]) -> bool:
    try:
        address = IPv6Address(match.group())
    except AddressValueError:
        return False
    return not address.is_unspecified and not address.is_loopback and len(_digits(match.group())) > 0


def _is_phone(match: re.Match[str]) -> bool:
    """8 to 15 digits that are written as a number to call, not as a date, a decimal or a range of years."""
    found, digits = match.group(), _digits(match.group())
    if not 8 <= len(digits) <= 15 or len(set(digits)) < 3 or _DATE.search(found):
        return False
    if found.startswith("+") or (len(digits) > 8 and _ABROAD.match(found)):
        return True
    return bool(_NORTH_AMERICAN.fullmatch(found) or _CALL_BEFORE.search(match.string[: match.start()][-24:]))


def _is_assigned(match: re.Match[str]) -> bool:
    """A value one would not write out as a word: long, with a digit and a letter."""
    value = match.group("secret")
    return any(c.isdigit() for c in value) and any(c.isalpha() for c in value)


_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AT": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "EE": 20,
    "ES": 24, "FI": 18, "FR": 27, "GB": 22, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IS": 26, "IT": 27,
    "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25, "RO": 24,
    "SA": 24, "SE": 24, "SI": 19, "SK": 24, "TR": 26,
}  # fmt: skip
_UNSPECIFIC = {IPv4Address("0.0.0.0"), IPv4Address("127.0.0.1"), IPv4Address("255.255.255.255")}  # noqa: S104
_VERSION_BEFORE = re.compile(
    r"(?:\b(?:versions?|ver|release[ds]?|v|build|section|chapter|figure|table|firmware|driver|upgraded?\s+to)[\s.:=]*"
    r"|(?:[=<>~^]=|[-_~^§]|(?<![/:])/)\s?)\Z",
    re.IGNORECASE,
)
_DATE = re.compile(r"\b(?:19|20)\d\d[-./ ](?:0?[1-9]|1[0-2])[-./ ]\d{1,2}\b|\b\d{1,2}[-./]\d{1,2}[-./](?:19|20)\d\d\b")
_NORTH_AMERICAN = re.compile(r"(?:1[-. ])?[2-9]\d\d[-. ][2-9]\d\d[-. ]\d{4}|0\d{2,4}[/ ]\d{5,8}(?:-\d{1,5})?")
_ABROAD = re.compile(r"\(\d|00[1-9]\d")
_CALL_BEFORE = re.compile(
    r"\b(?:phone|tel|telephone|call|mobile|cell|fax|whatsapp|sms)\b\W*(?:\w+\W*)?\Z", re.IGNORECASE
)
_HAS_DIGITS = re.compile(r"\d(?:[ \-./()]{0,2}\d){6}")
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
        _is_assigned,
    ),
    Rule(
        "EMAIL",
        lambda text: "@" in text,
        re.compile(
            r"(?<![\w.+%-])[\w][\w.+%-]{0,63}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}(?:[^\W\d_]{2,24}|xn--[a-z0-9-]{2,50})"
            r"(?![\w-])"
        ),
    ),
    Rule(
        "IBAN",
        _HAS_DIGITS.search,
        re.compile(
            r"\b[A-Z]{2}\d{2}(?:(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,4})?|[A-Z0-9]{11,30})\b"
        ),
        _is_iban,
    ),
    Rule("CARD", _HAS_DIGITS.search, re.compile(r"(?<![\w.+-])[2-6]\d{3}(?:[ -]?\d){9,15}(?![\w-]|\.\d)"), _is_card),
    Rule("SSN", _HAS_DIGITS.search, re.compile(r"(?<![\w.-])(\d{3})-(\d{2})-(\d{4})(?![\w-]|\.\d)"), _is_ssn),
    Rule("IP", _HAS_ADDRESS.search, re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w-]|\.\d|\.\w)"), _is_ipv4),
    Rule(
        "IP",
        _HAS_COLONS.search,
        re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:]|\.\d)"),
        _is_ipv6,
    ),
    Rule(
        "PHONE",
        _HAS_DIGITS.search,
        re.compile(
            r"(?<![\w.+/=$€£#-])(?:(?:\+|00)\d{1,3}[-. /]?)?(?:\(\d{1,5}\)[-. /]?)?"
            r"\d{1,5}(?:[-. /]?\d{2,5}){1,5}(?![\w%]|[-.,:/]\d)"
        ),
        _is_phone,
    ),
)  # fmt: skip
