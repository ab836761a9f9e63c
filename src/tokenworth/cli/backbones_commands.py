"""tokenworth backbones: the published ones, what they count, and what any backbone costs block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from tokenworth.cli.console import print_rows, tell
from tokenworth.cli.options import Given, Options, Output, said, takes
from tokenworth.errors import SettingError
from tokenworth.settings import Count

if TYPE_CHECKING:
    from tokenworth.backbones import Account

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "float64": 8}


@takes(Options(Output, "json"))
def backbones(
    name: Annotated[str | None, said("Count this one by block: published name, folder, hub id.")] = None,
    /,
    *,
    params: Annotated[bool, said("Parameters, as in the first paper's Table 2.")] = False,
    ranks: Annotated[str, said("LoRA ranks of --params.")] = "2,4,8,16",
    context: Annotated[int, said("Tokens of a text, for FLOPs.", Count)] = 128,
    dtype: Annotated[str, said("Number format of weights and KV cache, for bytes.")] = "bfloat16",
    given: Given,
) -> None:
    from tokenworth.backbones import PUBLISHED

    if name is not None:
        _print_blocks(name, context, dtype, json=given.json)
    elif params:
        _print_parameters(_ranks(ranks), json=given.json)
    else:
        print_rows([{"name": printed, "hub id": hub} for printed, hub in PUBLISHED.items()], json=given.json)


def _ranks(text: str) -> list[int]:
    ranks = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if min(ranks) < 1:
        raise SettingError(f"ranks {text!r} are not understood; write whole numbers such as 2,4,8,16")
    return ranks


def _print_parameters(ranks: list[int], *, json: bool) -> None:
    """The ten columns of Table 2 in its order, then the backbones that are not in it."""
    from tokenworth.backbones import PUBLISHED, TABLE_2, account_of

    names = [*TABLE_2, *(name for name in PUBLISHED if name not in TABLE_2)]
    rows = [_parameters(account_of(name), ranks, in_paper=name in TABLE_2) for name in names]
    if json:
        print_rows(rows, json=True)
        return
    heads = [head for head in rows[0] if head not in ("name", "in Table 2")]
    rows = [{**row, **{head: in_words(row[head]) for head in heads}} for row in rows]
    print_rows([{**row, "in Table 2": "yes" if row["in Table 2"] else "no"} for row in rows], right=heads)
    tell("original: as the paper counts, one matrix of vocabulary x width more than the backbone.")
    tell("backbone: everything but LM head, pooler and classification head.  with head: the published model.")


def _parameters(account: Account, ranks: list[int], *, in_paper: bool) -> dict[str, Any]:
    return {
        "name": account.name,
        "original": account.counted_in_paper,
        "backbone": account.parameters,
        "with head": account.with_head,
        **{f"lora_r{rank}": account.lora_parameters(rank) for rank in ranks},
        "in Table 2": in_paper,
    }


def _print_blocks(name: str, context: int, dtype: str, *, json: bool) -> None:
    from tokenworth.backbones import account_of

    if dtype not in _BYTES:
        raise SettingError(f"dtype {dtype!r} is not understood; choose one of {', '.join(_BYTES)}")
    account = account_of(name, context=context)
    rows = _blocks(account, context, _BYTES[dtype])
    if json:
        print_rows(rows, json=True)
        return
    heads = [head for head in rows[0] if head != "block"]
    print_rows([{"block": row["block"], **{h: in_words(row[h]) or "0" for h in heads}} for row in rows], right=heads)
    kind = "causal attention, half of the pairs" if account.causal else "every pair of tokens attends"
    tell(f"{account.name}: width {account.width}, texts of {context} tokens, {kind}; bytes in {dtype}.")
    tell(f"Context moments of all {len(account.blocks) + 1} layers: {in_words(account.moment_bytes())} bytes.")


def _blocks(account: Account, context: int, size: int) -> list[dict[str, Any]]:
    parts = [("embedding", account.embedding, 0.0, 0)]
    for name, part in [*((str(i), block) for i, block in enumerate(account.blocks, start=1)), ("rest", account.rest)]:
        flops = part.flops_per_token(context, causal=account.causal)
        parts.append((name, part.parameters, flops, 0 if name == "rest" else part.cache_width))
    rows: list[dict[str, Any]] = [
        {
            "block": name,
            "parameters": parameters,
            "FLOPs per token": round(flops),
            "weight bytes": size * parameters,
            "KV bytes per token": size * cache_width,
        }
        for name, parameters, flops, cache_width in parts
    ]
    return [*rows, {head: sum(row[head] for row in rows) for head in rows[0] if head != "block"} | {"block": "all"}]


def in_words(count: float) -> str:
    """A count in the paper's print: 312.49M, 162.56K."""
    for letter, factor in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if count >= factor:
            return f"{round(count / factor, 2):g}{letter}"
    return f"{count:g}"
