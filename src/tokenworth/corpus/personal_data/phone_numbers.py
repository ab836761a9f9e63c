"""Phone numbers in running text: what is written as a number to call, in any country.

A candidate counts where it is international and possible by its country's plan (phonenumbers), where a word beside it
says so, or where it is written as its country writes national numbers.  Dates, decimals, coordinates, citations and
ranges are none of these.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from tokenworth.corpus.extras import library

_SPACE = " \u00a0\u2009\u202f"
_GAP = rf"[-./\u2010-\u2013{_SPACE}]"
PATTERN = re.compile(
    rf"(?<![\w.+/=$€£#-])(?:(?:\+|00)\d{{1,3}}{_GAP}?)?(?:\(\d{{1,5}}\){_GAP}?)?"
    rf"\d{{1,5}}(?:{_GAP}?\d{{2,5}}){{1,5}}"
    rf"(?:[{_SPACE}]?(?:x|ext\.?|extension)[{_SPACE}]?(?P<extension>\d{{1,6}}))?(?![\w%]|[-.,:/]\d)"
)
_FEWEST, _MOST, _FEWEST_UNSAID = 7, 15, 8
"""Digits: ITU-T E.164 has 15 at most; local numbers of seven count where a word says what they are."""

_DATE = re.compile(r"\b(?:19|20)\d\d[-./ ](?:0?[1-9]|1[0-2])[-./ ]\d{1,2}\b|\b\d{1,2}[-./]\d{1,2}[-./](?:19|20)\d\d\b")
_DECIMAL = re.compile(rf"\+?\d+\.\d+(?:[{_SPACE}]\d+)*")
"""A fraction, also with its digits in groups."""
_YEARS = re.compile(rf"(?:1[5-9]|20)\d\d{_GAP}(?:1[5-9]|20)\d\d")
_CITATION = re.compile(r"\((?:1[89]|20)\d\d\)")
_ABROAD = re.compile(rf"\+|00[1-9]\d{{0,2}}{_GAP}")
_NORTH_AMERICAN = re.compile(
    rf"(?:1{_GAP})?(?:\([2-9]\d\d\)[{_SPACE}]?[2-9]\d\d{_GAP}|[2-9]\d\d(?P<gap>{_GAP})[2-9]\d\d(?P=gap))\d{{4}}"
)
_AREA_CODE = re.compile(rf"0\d{{2,4}}[-/{_SPACE}]\d{{5,8}}(?:-\d{{1,5}})?")
_DEVICE = (
    r"tel(?:e(?:phone|fono?)|éfono|éphone)?|phone|mobile|móvil|handy|portable|cell(?:phone)?|fax|whatsapp|sms|landline|"
    r"hotline|helpline|pager|rufnummer|desk|office|home|work"
)
_SAID_BEFORE = re.compile(
    rf"\b(?:(?:{_DEVICE})s?(?:\s(?:number|no\.?|nr\.?))?(?:\s(?:is|was|at))?"
    r"|(?:call|text|ring|dial|contact|reach|messag|answer|phon)\w{0,4}(?:\s\w{1,12}){0,3}?\s(?:at|on|to)"
    r"|(?:call|ring|dial|text)"
    r"|(?:my|his|her|our|your|their|contact|phone)\snumber(?:\s(?:is|was))?)\W{0,4}\Z",
    re.IGNORECASE,
)
_SAID_AFTER = re.compile(rf"[-\s(]{{0,2}}(?:{_DEVICE})\b", re.IGNORECASE)
_LOOK_BACK, _LOOK_AHEAD = 60, 16
_TRUNK_REGIONS = re.findall(
    r"\w+", "GB DE FR CH AT BE NL SE FI IE AU NZ ZA IN JP KR BR TR IL HR RO BG SI UA EG NG KE PK TH ID PH VN MY"
)
"""Countries that write national numbers with a 0 before them."""


def phone_span(match: re.Match[str]) -> tuple[int, int] | None:
    """Where the number stands, or None if it is none; of several behind each other the first."""
    shorter: re.Match[str] | None = match
    while shorter is not None and not _is_phone(shorter):
        blank = max(match.string.rfind(space, match.start() + 1, shorter.end()) for space in _SPACE)
        shorter = PATTERN.fullmatch(match.string, match.start(), blank) if blank > 0 else None
    return None if shorter is None else shorter.span()


def _is_phone(match: re.Match[str]) -> bool:
    end = match.start("extension") if match.group("extension") else match.end()
    number = match.string[match.start() : end].rstrip(". xent\u00a0")
    digits = [letter for letter in number if letter.isdigit()]
    if not _FEWEST <= len(digits) <= _MOST or len(set(digits)) < 3:
        return False
    if any(kind.fullmatch(number) for kind in (_DECIMAL, _YEARS)) or _DATE.search(number) or _CITATION.search(number):
        return False
    before = match.string[max(0, match.start() - _LOOK_BACK) : match.start()]
    if _SAID_BEFORE.search(before) or _SAID_AFTER.match(match.string[match.end() : match.end() + _LOOK_AHEAD]):
        return True
    if len(digits) < _FEWEST_UNSAID:
        return False
    if _ABROAD.match(number):
        return _is_possible(number)
    return bool(_NORTH_AMERICAN.fullmatch(number) or _AREA_CODE.fullmatch(number)) or _is_national(number)


def _is_possible(number: str) -> bool:
    """Whether a country has numbers of this code and length."""
    phonenumbers = library("phonenumbers", "redaction of phone numbers")
    try:
        return bool(phonenumbers.is_possible_number(phonenumbers.parse(re.sub(r"\A00", "+", number))))
    except phonenumbers.NumberParseException:
        return False


def _is_national(number: str) -> bool:
    """Whether a country that writes a 0 before national numbers has this one, and groups its digits so."""
    groups = tuple(re.findall(r"\d+", number))
    if not number.startswith("0") or len(groups) < 3:
        return False
    return any(groups in _written(region, "".join(groups)) for region in _TRUNK_REGIONS)


@lru_cache(maxsize=4096)
def _written(region: str, digits: str) -> tuple[tuple[str, ...], ...]:
    """The ways a country groups the digits of one of its numbers; none where it has no such number."""
    phonenumbers: Any = library("phonenumbers", "redaction of phone numbers")
    try:
        parsed = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return ()
    if not phonenumbers.is_valid_number_for_region(parsed, region):
        return ()
    national = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
    return (tuple(re.findall(r"\d+", national)),)
