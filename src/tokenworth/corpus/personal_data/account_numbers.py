"""Numbers of payment cards, bank accounts and US social security, by prefix, length and check digit."""

from __future__ import annotations

import re

from tokenworth.corpus.extras import library

_GAP = r"[-\u00a0\u202f ]"
CARD = re.compile(rf"(?<![\w.+-])\d{{4}}(?:{_GAP}?\d){{8,15}}(?![\w-]|\.\d)")
IBAN = re.compile(rf"(?<![\w-])[A-Za-z]{{2}}{_GAP}?\d{{2}}(?:{_GAP}?[A-Za-z0-9]){{11,30}}")
SSN = re.compile(r"(?<![\w.-])(\d{3})-(\d{2})-(\d{4})(?![\w-]|\.\d)")

_NETWORK = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|(?:30[0-5]|3095|36\d|3[89]\d)\d{11}(?:\d{0,5})"  # Diners Club
    r"|(?:6011|64[4-9]\d|65\d\d)\d{12}(?:\d{3})?"  # Discover
    r"|35(?:2[89]|[3-8]\d)\d{12}(?:\d{0,3})|(?:1800|2131)\d{11}"  # JCB
    r"|62\d{14}(?:\d{0,3})"  # UnionPay
    r"|(?:5018|5020|5038|5893|6304|6759|676[1-3])\d{8,15}"  # Maestro
)
"""Prefixes and lengths of ISO/IEC 7812 as the networks publish them."""
_SHORTEST_UNSAID = 13
_SAID_BEFORE = re.compile(r"(?i)\b(?:cards?|cc|credit|debit|visa|maestro|mastercard|amex|pan)\b[^.!]{0,24}\Z")
_LOOK_BACK = 48
_VALUE_BEFORE = re.compile(r"(?:\w\(|[=\[,]|=\s)\Z")  # a seed or a constant of code


def card_span(match: re.Match[str]) -> tuple[int, int] | None:
    """Where the number stands: right by Luhn's digit, and of a known network or called a card."""
    digits = "".join(letter for letter in match.group() if letter.isdigit())
    if len(set(digits)) < 2 or not library("stdnum.luhn", "redaction of card numbers").is_valid(digits):
        return None
    said = _SAID_BEFORE.search(match.string[max(0, match.start() - _LOOK_BACK) : match.start()])
    if said:
        return match.span()
    is_value = match.group().isdigit() and _VALUE_BEFORE.search(match.string[max(0, match.start() - 3) : match.start()])
    known = len(digits) >= _SHORTEST_UNSAID and _NETWORK.fullmatch(digits)
    return match.span() if known and not is_value else None


def iban_span(match: re.Match[str]) -> tuple[int, int] | None:
    """Where the number stands: as long as its country's are, right modulo 97 and by the country's own rule.

    The pattern may have run into the word behind it, so what is longer is cut.
    """
    iban = library("stdnum.iban", "redaction of bank accounts")
    ends = [place.end() for place in re.finditer(r"[A-Za-z0-9]", match.group())]
    plain = re.sub(r"[^A-Za-z0-9]", "", match.group())
    for size in range(min(34, len(plain)), 14, -1):
        end = match.start() + ends[size - 1]
        if not match.string[end : end + 1].isalnum() and iban.is_valid(plain[:size], check_country=False):
            return match.start(), end
    return None


def ssn_span(match: re.Match[str]) -> tuple[int, int] | None:
    """Where the number stands, if it is one that is given out."""
    ssn = library("stdnum.us.ssn", "redaction of social security numbers")
    return match.span() if ssn.is_valid(match.group()) else None
