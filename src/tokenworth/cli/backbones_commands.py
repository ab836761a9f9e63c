"""tokenworth backbones and tokenworth tasks: the published ones, what they count and cost."""

from __future__ import annotations

from typing import Annotated

from tokenworth.cli.console import print_rows, tell
from tokenworth.cli.options import Given, Options, Output, said, takes
from tokenworth.errors import SettingError
from tokenworth.settings import Count

_Name = Annotated[str | None, said("Count this one by block: published name, folder, hub id.")]
_Params = Annotated[bool, said("Parameters, as in the first paper's Table 2.")]
_Ranks = Annotated[str, said("LoRA ranks of --params.")]
_Context = Annotated[int, said("Tokens of a text, for FLOPs.", Count)]
_Dtype = Annotated[str, said("Number format of weights and KV cache, for bytes.")]
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "float64": 8}


@takes(Options(Output, "json"))
def backbones(
    name: _Name = None, /, *, params: _Params = False, ranks: _Ranks = "2,4,8,16", context: _Context = 128,
    dtype: _Dtype = "bfloat16", options: Given,
) -> None:  # fmt: skip
    if name is not None:
        _print_blocks(name, context, dtype, json=options.json)
    elif params:
        _print_parameters(ranks, json=options.json)
    else:
        from tokenworth.report.terminal.account_tables import known_backbones

        print_rows(known_backbones(), json=options.json)


def _print_parameters(wanted: str, *, json: bool) -> None:
    from tokenworth.report.terminal.account_tables import PARAMETERS_BELOW, parameter_rows, rows_in_words

    ranks = [int(part) if part.strip().isdecimal() else 0 for part in wanted.split(",")]
    if min(ranks) < 1:
        raise SettingError(f"ranks {wanted!r} are not understood; write whole numbers such as 2,4,8,16")
    rows = parameter_rows(ranks)
    print_rows(rows if json else rows_in_words(rows), json=json, right=list(rows[0])[1:-1])
    if not json:
        tell(PARAMETERS_BELOW)


def _print_blocks(name: str, context: int, dtype: str, *, json: bool) -> None:
    from tokenworth.backbones import account_of
    from tokenworth.report.terminal.account_tables import block_rows, blocks_below, rows_in_words

    if dtype not in _BYTES:
        raise SettingError(f"dtype {dtype!r} is not understood; choose one of {', '.join(_BYTES)}")
    account = account_of(name, context=context)
    rows = block_rows(account, context, _BYTES[dtype])
    print_rows(rows if json else rows_in_words(rows), json=json, right=list(rows[0])[1:])
    if not json:
        tell(blocks_below(account, context, dtype))


@takes(Options(Output, "json"))
def tasks(*, options: Given) -> None:
    from tokenworth.tasks.published_tasks import published_rows

    print_rows(published_rows(), json=options.json)
