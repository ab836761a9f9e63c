"""tokenworth backbones: the published ones, what they count, and what any backbone costs block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

import tokenworth.cli.shared_options as options
from tokenworth.cli.console import print_rows
from tokenworth.errors import SettingError

if TYPE_CHECKING:
    from tokenworth.backbones.accounting.account import Account

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "float64": 8}


def backbones(
    name: Annotated[str | None, typer.Argument(help="Count this one by block: published name, folder, hub id.")] = None,
    params: Annotated[bool, typer.Option("--params", help="Parameters, as in the first paper's Table 2.")] = False,
    ranks: Annotated[str, typer.Option(help="LoRA ranks of --params.")] = "2,4,8,16",
    context: Annotated[int, typer.Option(min=1, help="Tokens of a text, for FLOPs.")] = 128,
    dtype: Annotated[str, typer.Option(help="Number format of weights and KV cache, for bytes.")] = "bfloat16",
    json: options.Json = False,
) -> None:
    """The published backbones by name; any folder or hub id that transformers loads works as well."""
    from tokenworth.backbones import PUBLISHED

    if name is not None:
        _print_blocks(name, context, dtype, json=json)
    elif params:
        _print_parameters(_ranks(ranks), json=json)
    else:
        print_rows([{"name": printed, "hub id": hub} for printed, hub in PUBLISHED.items()], json=json)


def _ranks(text: str) -> list[int]:
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 1:
        raise SettingError(f"ranks {text!r} are not understood; write whole numbers such as 2,4,8,16")
    return found


def _print_parameters(ranks: list[int], *, json: bool) -> None:
    """The ten columns of Table 2 in its order, then the backbones that are not in it."""
    from tokenworth.backbones import PUBLISHED, TABLE_2, account_of

    names = [*TABLE_2, *(name for name in PUBLISHED if name not in TABLE_2)]
    rows = [_parameters(account_of(name), ranks, in_paper=name in TABLE_2) for name in names]
    if not json:
        heads = [head for head in rows[0] if head not in ("name", "in Table 2")]
        rows = [{**row, **{head: in_words(row[head]) for head in heads}} for row in rows]
        rows = [{**row, "in Table 2": "yes" if row["in Table 2"] else "no"} for row in rows]
        print_rows(rows, json=False, right=heads)
        typer.echo(
            "original: as the paper counts, one matrix of vocabulary x width more than the backbone.\n"
            "backbone: everything but LM head, pooler and classification head.  with head: the published model."
        )
        return
    print_rows(rows, json=True)


def _parameters(found: Account, ranks: list[int], *, in_paper: bool) -> dict[str, Any]:
    return {
        "name": found.name,
        "original": found.counted_in_paper,
        "backbone": found.parameters,
        "with head": found.with_head,
        **{f"lora_r{rank}": found.lora_parameters(rank) for rank in ranks},
        "in Table 2": in_paper,
    }


def _print_blocks(name: str, context: int, dtype: str, *, json: bool) -> None:
    from tokenworth.backbones import account_of

    if dtype not in _BYTES:
        raise SettingError(f"dtype {dtype!r} is not understood; choose one of {', '.join(_BYTES)}")
    found, size = account_of(name, context=context), _BYTES[dtype]
    rows = [_row("embedding", found.embedding, 0.0, size, 0)]
    rows += [
        _row(str(i), block.parameters, block.flops_per_token(context, causal=found.causal), size, block.cache_width)
        for i, block in enumerate(found.blocks, start=1)
    ]
    rest = found.rest.flops_per_token(context, causal=found.causal)
    rows.append(_row("rest", found.rest.parameters, rest, size, 0))
    rows.append({head: sum(row[head] for row in rows) for head in rows[0] if head != "block"} | {"block": "all"})
    if json:
        print_rows(rows, json=True)
        return
    heads = [head for head in rows[0] if head != "block"]
    print_rows(
        [{"block": row["block"], **{h: in_words(row[h]) or "0" for h in heads}} for row in rows],
        json=False,
        right=heads,
    )
    kind = "causal attention, half of the pairs" if found.causal else "every pair of tokens attends"
    typer.echo(f"{found.name}: width {found.width}, texts of {context} tokens, {kind}; bytes in {dtype}.")
    typer.echo(f"Context moments of all {len(found.blocks) + 1} layers: {in_words(found.moment_bytes())} bytes.")


def _row(block: str, parameters: int, flops: float, size: int, cache_width: int) -> dict[str, Any]:
    return {
        "block": block,
        "parameters": parameters,
        "FLOPs per token": round(flops),
        "weight bytes": size * parameters,
        "KV bytes per token": size * cache_width,
    }


def in_words(count: float) -> str:
    """A count in the paper's print: 312.49M, 162.56K."""
    for letter, factor in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if count >= factor:
            return f"{round(count / factor, 2):g}{letter}"
    return f"{count:g}"
