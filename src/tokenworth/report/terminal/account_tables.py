"""What backbones count and cost, as rows: the published ones side by side, or one block by block."""

from __future__ import annotations

from typing import Any

from tokenworth.backbones import PACKAGED, PUBLISHED, TABLE_2, Account, account_of

Rows = list[dict[str, Any]]


def known_backbones() -> list[dict[str, str]]:
    """What is known by name, and where its weights come from."""
    rows = [{"name": printed, "hub id": hub, "weights": "hub"} for printed, hub in PUBLISHED.items()]
    for entry in PACKAGED.values():
        package = entry.requirement.partition("==")[0]
        weights = entry.command if entry.place() is None else f"package {package}, installed"
        rows.append({"name": entry.name, "hub id": entry.hub, "weights": f"{weights} ({entry.words})"})
    return rows


def parameter_rows(ranks: list[int]) -> Rows:
    """The ten columns of the first paper's Table 2 in its order, then the backbones that are not in it.

    Args:
        ranks: of LoRA.
    """
    names = [*TABLE_2, *(name for name in PUBLISHED if name not in TABLE_2)]
    return [_parameters(account_of(name), ranks, in_paper=name in TABLE_2) for name in names]


def _parameters(account: Account, ranks: list[int], *, in_paper: bool) -> dict[str, Any]:
    return {
        "name": account.name,
        "original": account.counted_in_paper,
        "backbone": account.parameters,
        "with head": account.with_head,
        **{f"lora_r{rank}": account.lora_parameters(rank) for rank in ranks},
        "in Table 2": in_paper,
    }


def block_rows(account: Account, context: int, bytes_a_number: int) -> Rows:
    """Parameters, FLOPs and bytes of each block, and of all.

    Args:
        account: of the backbone.
        context: tokens of a text.
        bytes_a_number: of weights and KV cache.
    """
    parts: list[tuple[str, int, float, int]] = [("embedding", account.embedding, 0.0, 0)]
    for name, block in [*((str(i), block) for i, block in enumerate(account.blocks, start=1)), ("rest", account.rest)]:
        flops = block.flops_per_token(context, causal=account.causal)
        parts.append((name, block.parameters, flops, 0 if name == "rest" else block.cache_width))
    rows: Rows = [
        {
            "block": name,
            "parameters": parameters,
            "FLOPs per token": round(flops),
            "weight bytes": bytes_a_number * parameters,
            "KV bytes per token": bytes_a_number * cache_width,
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


def rows_in_words(rows: Rows) -> Rows:
    """The same with counts in the paper's print, and yes or no."""
    return [{head: _cell(value) for head, value in row.items()} for row in rows]


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else in_words(value)


PARAMETERS_BELOW = """\
original: as the paper counts, one matrix of vocabulary x width more than the backbone.
backbone: everything but LM head, pooler and classification head.  with head: the published model."""


def blocks_below(account: Account, context: int, dtype: str) -> str:
    """What stands below the rows of blocks."""
    kind = "causal attention, half of the pairs" if account.causal else "every pair of tokens attends"
    moments = in_words(account.moment_bytes())
    return (
        f"{account.name}: width {account.width}, texts of {context} tokens, {kind}; bytes in {dtype}.\n"
        f"Context moments of all {len(account.blocks) + 1} layers: {moments} bytes."
    )
