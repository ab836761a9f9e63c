"""What the terminal shows of a pretraining run, of weights found for its sources, of a law of losses and of plans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenworth.pretraining import FoundWeights, PretrainRun
from tokenworth.scaling_laws import Plan, ScalingFit


def run_lines(run: PretrainRun, place: Path) -> Iterator[str]:
    """Speed, and losses on held-out documents."""
    yield f"{run.tokens:,} tokens, {run.tokens_per_second:,.0f} a second, in {place}"
    yield f"{'held out':<24}{'nats a token':>14}{'perplexity':>14}{'bits a byte':>14}"
    for name, losses in run.held_out.items():
        yield f"{name:<24}{losses['nll']:>14.3f}{losses['perplexity']:>14.1f}{losses['bits_per_byte']:>14.3f}"


def weight_rows(weights: FoundWeights) -> tuple[list[dict[str, str]], str]:
    """A row a source, and the lines below."""
    first, last = weights.rounds[0], weights.rounds[-1]
    rows = [
        {
            "source": name,
            "given": f"{first.given[name]:.3f}",
            "found": f"{weight:.3f}",
            "of the bytes": f"{weights.bytes[name]:.3f}",
            "excess": f"{last.excess[name]:.3f}",
            "reference": _nats(last.reference.get(name)),
            "proxy": _nats(last.proxy.get(name)),
        }
        for name, weight in weights.weights.items()
    ]
    below = "excess, reference, proxy: nats a token; the last two on held-out documents"
    if len(weights.rounds) > 1:
        ended = "settled" if weights.settled else f"still moving by {last.change:.3f}"
        below += f"\n{len(weights.rounds)} rounds, {ended}"
    return rows, below


def _nats(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def law_lines(law: ScalingFit) -> Iterator[str]:
    """Constants with their intervals."""
    yield f"{law.form}, {law.runs} runs, off by {law.error:.2%} (root mean square)"
    for name, value in law.constants.items():
        yield f"{name:<8} {value:>12.5g}   {law.low[name]:.5g} to {law.high[name]:.5g}"
    for note in law.notes:
        yield f"! {note}"


def plan_lines(plans: Sequence[Plan]) -> Iterator[str]:
    """A line each."""
    yield f"{'':<24}{'parameters':>12}{'tokens':>12}{'tokens/par.':>13}{'loss':>8}"
    for plan in plans:
        counts = f"{plan.parameters:>12.3g}{plan.tokens:>12.3g}{plan.tokens_per_parameter:>13.1f}{plan.loss:>8.3f}"
        yield f"{plan.name:<24}{counts}"


def fertility_lines(report: Mapping[str, Any], out: Path) -> Iterator[str]:
    """What a tokenizer costs, by source."""
    yield f"{report['kind']}, {report['vocabulary']:,} tokens, in {out}"
    yield f"{'source':<24}{'tokens a word':>14}{'bytes a token':>14}{'texts':>8}"
    for row in report["sources"]:
        counts = f"{row['tokens_per_word']:>14.3f}{row['bytes_per_token']:>14.3f}{row['texts']:>8,}"
        yield f"{row['source']:<24}{counts}"
