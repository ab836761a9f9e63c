"""How many tokens checkpoints have seen: from what is given, from a table, or from their names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path, PurePath

from tokenworth.base.sentences import quoted
from tokenworth.errors import FileError, SettingError
from tokenworth.files import Delimited, Fault
from tokenworth.settings import read_settings
from tokenworth.tracing.checkpoint_settings import CheckpointChoice

_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}
_AMOUNT = r"(\d[\d_]*(?:\.\d+)?)([kmbt]?)"
_END = r"(?![a-z0-9])"
_PLAIN = re.compile(_AMOUNT, re.IGNORECASE)
_TOKENS = (
    re.compile(rf"tokens?[-_=]?{_AMOUNT}{_END}", re.IGNORECASE),
    re.compile(rf"(?<![\d.]){_AMOUNT}[-_]?tokens?{_END}", re.IGNORECASE),
)
"""Ways in which names say tokens; the first that fits counts."""
_STEPS = re.compile(rf"(?<![a-z])(?:steps?|checkpoint|ckpt|iter)[-_=]?{_AMOUNT}{_END}", re.IGNORECASE)
_UNIT = re.compile(rf"[kmbt]?{_END}", re.IGNORECASE)
_TABLES = {".csv": ",", ".tsv": "\t", ".yaml": "", ".yml": ""}
_MOST = 10**18


def count_tokens(names: Sequence[str], choice: CheckpointChoice) -> list[int]:
    """Tokens seen by each checkpoint, in the order of the names: paths, or revisions of a hub id.

    Names are read as `tokens-N`, `NBtokens` (k, M, B, T: thousands to millions of millions), or `stepN` times the
    tokens of a step; with a pattern as that says.

    Raises:
        SettingError: tokens are unknown or no numbers; all checkpoints concerned are named.
    """
    if len(choice.tokens) == 1 and Path(choice.tokens[0]).suffix.lower() in _TABLES:
        return _from_table(names, Path(choice.tokens[0]))
    if choice.tokens:
        return _as_given(names, choice.tokens)
    if choice.pattern is not None:
        return _by_pattern(names, choice.pattern, choice.tokens_per_step or 1)
    return _by_names(names, choice.tokens_per_step)


def without_count(name: str) -> str:
    """A checkpoint's name without the part that says tokens or steps."""
    for said in (*_TOKENS, _STEPS):
        name = said.sub("", name)
    return name.strip("-_. ")


def _amount(number: str, unit: str) -> int:
    """The count that digits and a unit's letter stand for."""
    return int(Decimal(number.replace("_", "")) * _FACTORS[unit.lower()])


def _amount_of(text: object) -> int | None:
    """12_070_912, 12.1M or 2e6 as a whole number; None for other texts and what no model has read."""
    match = _PLAIN.fullmatch(str(text).strip())
    if match:
        count = _amount(match[1], match[2])
    else:
        try:
            number = float(str(text))
        except ValueError:
            return None
        count = int(number) if 0 <= number <= _MOST else -1
    return count if 0 <= count <= _MOST else None


def _as_given(names: Sequence[str], tokens: Sequence[str]) -> list[int]:
    if len(tokens) != len(names):
        raise SettingError(
            f"tokens are given for {len(tokens)} checkpoints and there are {len(names)}: {', '.join(names)}; give one "
            "number for each, in the same order"
        )
    return _all_known(names, [_amount_of(text) for text in tokens], "give numbers such as 1003520 or 12.1M")


def _from_table(names: Sequence[str], path: Path) -> list[int]:
    table = _read_table(path)
    counts = [_amount_of(table.get(name, table.get(PurePath(name).name))) for name in names]
    return _all_known(names, counts, f"{path} needs a number for each, such as 12070912 or 12.1M")


def _read_table(path: Path) -> Mapping[str, object]:
    """Tokens by checkpoint, as they are written."""
    if not _TABLES[path.suffix.lower()]:
        return read_settings(path, "table of tokens", "step1000: 2.1B")
    rows: dict[str, object] = {}
    try:
        for row in Delimited(path):
            if isinstance(row, Fault):
                raise SettingError(row.sentence(path))
            if not {"checkpoint", "tokens"} <= row.values.keys():
                raise SettingError(
                    f"{path}, line {row.number}: the columns checkpoint and tokens are needed; it has "
                    f"{', '.join(list(row.values)[:20])}"
                )
            rows[str(row.values["checkpoint"])] = row.values["tokens"]
    except (FileError, OSError) as error:
        raise SettingError(f"the table of tokens {path} cannot be read ({error})") from error
    return rows


def _by_pattern(names: Sequence[str], pattern: str, factor: int) -> list[int]:
    """The last place in a name that fits counts; a letter of thousands or more may follow the group."""

    def count(name: str) -> int | None:
        found = [match for match in re.finditer(pattern, name) if match[1] is not None]
        if not found:
            return None
        unit = _UNIT.match(name, found[-1].end(1))
        number = _amount_of(found[-1][1] + (unit[0] if unit else ""))
        return None if number is None else number * factor

    return _all_known(names, [count(name) for name in names], f"the pattern {quoted(pattern)} finds no number there")


def _by_names(names: Sequence[str], tokens_per_step: int | None) -> list[int]:
    counts = [_in_name(PurePath(name).name, tokens_per_step) for name in names]
    if tokens_per_step is None:
        steps = [name for name, count in zip(names, counts, strict=True) if count is None and _STEPS.search(name)]
        if steps:
            raise SettingError(
                f"the names of {', '.join(steps)} say steps and not tokens; give tokens_per_step (--tokens-per-step), "
                "or tokens (--tokens) as numbers or a table"
            )
    return _all_known(names, counts, "give --tokens N,N in the order of the checkpoints, a table of them, or --pattern")


def _in_name(name: str, tokens_per_step: int | None) -> int | None:
    tokens = next(filter(None, (said.search(name) for said in _TOKENS)), None)
    if tokens is not None:
        return _amount(tokens[1], tokens[2])
    steps = _STEPS.search(name)
    count = None if steps is None else _amount(steps[1], steps[2])
    return 0 if count == 0 else None if count is None or tokens_per_step is None else count * tokens_per_step


def _all_known(names: Sequence[str], counts: Sequence[int | None], remedy: str) -> list[int]:
    """The counts, if there is one for every name."""
    unknown = [name for name, count in zip(names, counts, strict=True) if count is None]
    if unknown:
        raise SettingError(f"the tokens seen by {', '.join(unknown)} are unknown; {remedy}")
    return [count for count in counts if count is not None]
