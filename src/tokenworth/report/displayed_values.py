"""Numbers and names as people read them; everything that comes from a data set passes through ``clean``."""

from __future__ import annotations

import html
import math
import re
import textwrap
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tokenworth.base.progress import clock_time
from tokenworth.report.terminal.printable import DIRECTION_MARKS

ABSENT = "–"  # noqa: RUF001  an en dash: a number that does not exist


def number(value: Any) -> float | None:
    """A finite float, or None for None, NaN, infinities and what is no number."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        converted = float(value)
    except (TypeError, ValueError):
        return None
    return converted if math.isfinite(converted) else None


def series(rows: Iterable[Mapping[str, Any]], key: str) -> list[float | None]:
    """One column of a list of rows, with None where it has no value."""
    return [number(row.get(key)) for row in rows]


def numbers(values: Iterable[Any] | None) -> list[float | None]:
    """Every entry through ``number``; an absent list is an empty one."""
    return [number(value) for value in (values if values is not None else ())]


def shown(value: Any, digits: int = 3) -> str:
    """A rounded number, with thousands separated when there are no decimals to show.

    What rounding would make 0 has more decimals, or a power of ten.
    """
    value = number(value)
    if value is None:
        return ABSENT
    if digits == 0:
        return f"{value:,.0f}"
    text = f"{value:.{digits}f}"
    if number(text) != 0 or value == 0:
        return text
    return f"{value:.{digits + 2}f}".rstrip("0") if abs(value) >= 0.5 * 10 ** (-digits - 1) else f"{value:.1e}"


def interval(low: Any, high: Any, digits: int = 3) -> str:
    """``0.791 to 0.832``, or nothing when an end is unknown."""
    if number(low) is None or number(high) is None:
        return ""
    return f"{shown(low, digits)} to {shown(high, digits)}"


def tight(low: Any, high: Any, digits: int = 3) -> str:
    """The interval for narrow places, ``0.791-0.832`` with an en dash; words where a minus sign would confuse."""
    between = interval(low, high, digits)
    return between if "-" in between else between.replace(" to ", ABSENT)


def duration(seconds: Any) -> str:
    """Seconds as a person says them."""
    seconds = number(seconds)
    return ABSENT if seconds is None else clock_time(seconds)


def parameters(count: Any) -> str:
    """A number of parameters as people say it: 14.2 M, 1.3 B."""
    value = number(count)
    if value is None:
        return ABSENT
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return shown(value, 0)


def tokens_text(count: Any) -> str:
    """0, 950, 12 k, 1.3 M."""
    return "0" if number(count) == 0 else parameters(count)


def flops_text(value: Any, nothing: str = ABSENT) -> str:
    """1.3e+14; `nothing` for 0."""
    flops = number(value)
    return ABSENT if flops is None else nothing if flops == 0 else f"{flops:.1e}"


def money_text(value: Any) -> str:
    """$1,234.50."""
    money = number(value)
    return ABSENT if money is None else f"${money:,.2f}"


def bytes_text(value: Any) -> str:
    """1.2 GB; less than a kilobyte is not worth a number."""
    size = number(value) or 0.0
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return ABSENT


def clean(text: Any) -> str:
    """Text on one line: control characters (terminal escapes, line breaks) and direction overrides become spaces."""
    kept = (
        " " if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in DIRECTION_MARKS else char
        for char in str(text)
    )
    return " ".join("".join(kept).split()) or "(empty)"


def sentence(text: Any) -> str:
    """Clean text with a capital letter and a full stop, for reasons that were written to follow a colon."""
    text = clean(text)
    return capital(text) + ("" if text[-1] in ".!?…" else ".")


def capital(text: str) -> str:
    """With a capital letter."""
    return text[:1].upper() + text[1:]


def bound(text: Any) -> str:
    """For narrow columns: a number and its percent sign stay on one line."""
    return re.sub(r"(?<=\d) (?=%)", "\u00a0", str(text))


def cut(text: Any, limit: int = 28) -> str:
    """Clean text of at most ``limit`` characters, ending in an ellipsis when some were left out."""
    text = clean(text)
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def short(name: Any, parts: int = 2) -> str:
    """The end of a folder's path, where names differ; hub ids and other names stay whole."""
    name = clean(name)
    steps = [step for step in name.replace("\\", "/").split("/") if step]
    is_path = name.startswith(("/", ".", "~")) or name[1:3] in (":/", ":\\")
    return "…/" + "/".join(steps[-parts:]) if is_path and len(steps) > parts else name


def labels(texts: Iterable[Any], limit: int = 28) -> list[str]:
    """Short names for an axis, escaped; where two would be cut to the same, these keep their ends too."""
    names = [clean(text) for text in texts]
    often, end = Counter(cut(name, limit) for name in set(names)), limit // 3
    alike = [len(name) > limit and often[cut(name, limit)] > 1 for name in names]
    ends = [f"{name[: limit - end - 1].rstrip()}…{name[-end:]}" for name in names]
    return [label(both if cut_alike else name, limit) for name, both, cut_alike in zip(names, ends, alike, strict=True)]


def label(text: Any, limit: int = 28) -> str:
    """A short name for an axis: plotly reads a part of HTML in labels, so it is escaped."""
    return html.escape(cut(text, limit), quote=False)


def hover(text: Any, limit: int = 400) -> str:
    """The full name for a hover box, wrapped with the line breaks plotly understands, and escaped."""
    return "<br>".join(html.escape(line, quote=False) for line in textwrap.wrap(cut(text, limit), 60))


def facts(values: Mapping[str, Any], skip: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """(name, value) of every entry, nested mappings opened, long lists as their length; for a reader, not a parser."""
    listed: list[tuple[str, str]] = []
    for key, value in values.items():
        name = clean(key).replace("_", " ")
        if key in skip or value is None:
            continue
        if isinstance(value, Mapping):
            listed += [(f"{name}, {inner}", text) for inner, text in facts(value)]
        else:
            listed.append((name, _fact(value)))
    return listed


def flat(values: Mapping[str, Any] | None, skip: str = "") -> dict[str, Any]:
    """Facts of a page's details without one of them; lists and long things are left to the result's file."""
    kept: dict[str, Any] = {}
    for name, value in (values or {}).items():
        if isinstance(value, Mapping) and name != skip:
            kept |= {f"{name}: {key}": inner for key, inner in value.items() if not isinstance(inner, list | dict)}
        elif name != skip and (not isinstance(value, list) or len(value) <= 6):
            kept[name] = ABSENT if value is None else value
    return kept


def _fact(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | str):
        return f"{value:,}" if isinstance(value, int) and abs(value) >= 10_000 else clean(value)
    if isinstance(value, list | tuple):
        return ", ".join(clean(item) for item in value) if len(value) <= 20 else f"{len(value):,} entries"
    return f"{value:.4g}" if number(value) is not None else clean(value)
