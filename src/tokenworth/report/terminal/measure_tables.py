"""What the terminal shows of each measure of a decoder: sentences, and rows whose columns of words stand left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """Cells by column."""

    rows: list[dict[str, str]]
    left: tuple[str, ...] = ()
    """Columns of words."""


Part = str | Rows


def parts_of(result: Any, **more: Any) -> Iterator[Part]:
    """What is shown of a result of `tokenworth.measures`, from top to bottom."""
    return _KINDS[type(result).__name__](result, **more)


def _exposure(result: Any) -> Iterator[Part]:
    yield f"{result.model}: nats a token on {result.texts} documents, 95 % intervals over documents"
    places = [
        {
            "prefix": row["prefix"],
            "place": _places(row),
            "own document": _mean(row, "gold"),
            "sampled": _mean(row, "own"),
            "another's": _mean(row, "other"),
            "exposure": _ends(row, "exposure"),
            "mismatch": _ends(row, "mismatch"),
        }
        for row in result.continuation
    ]
    yield Rows(places, left=("exposure", "mismatch"))
    yield "\nsampled text by position: above 0 more random than real text, below 0 more repetitive"
    judged = {"judge: documents": "reference_gold", "judge: samples": "reference_sampled"}
    drift = [
        {
            "position": _places(row),
            "documents": _mean(row, "gold"),
            "samples": _mean(row, "sampled"),
            "drift": _ends(row, "drift"),
            **{name: _mean(row, key) for name, key in judged.items() if key in row},
        }
        for row in result.drift
    ]
    yield Rows(drift, left=("drift",))


def _memorisation(result: Any) -> Iterator[Part]:
    yield f"{result.model}: spans of {result.span} tokens out of {result.tokens:,}; 95 % intervals"
    rows = [
        {
            "prefix": row["prefix"],
            "times in corpus": _times(row),
            "spans": row["spans"],
            "exact": _share(row, "exact"),
            "within a tenth": _share(row, "approximate"),
        }
        for row in result.rates
    ]
    yield Rows(rows)
    for span in result.examples:
        yield f"recited after {span['prefix']} tokens, stands {span['times']} times: {_shortened(span['text'])}"


def _completion(result: Any) -> Iterator[Part]:
    rows = [
        {
            "texts": row["texts"],
            "of": row["of"] if row["of"] == "test" else f"control: {result.control}",
            "completed": _share(row, "exact"),
            "within a tenth": _share(row, "approximate"),
            "least likely fifth, nats": _ends(row, "minimum"),
            "bits over zlib's": _ends(row, "zlib", ""),
        }
        for row in result.rows
    ]
    yield Rows(rows, left=("of",))
    yield "\n".join(result.sentences())
    for text in result.examples:
        yield f"given {_shortened(text['given'])} completed {_shortened(text['completed'])}"


def _router(result: Any, model: str) -> Iterator[Part]:
    yield f"{model}: {result.tokens:,} tokens, {result.experts_per_token} experts each"
    rows = [
        {
            "layer": row["layer"],
            **{name: f"{row[name]:.3f}" for name in ("cv", "entropy")},
            "dead": f"{row['dead']:.0%}",
            "balance": f"{row['balance']:.3f}",
            "load of each expert, %": " ".join(f"{100 * load:.0f}" for load in row["load"]),
        }
        for row in result.layers()
    ]
    yield Rows(rows, left=("load of each expert, %",))


def _positions(result: Any) -> Iterator[Part]:
    yield f"{result.model}: nats a token on {result.texts} documents of {result.length} tokens"
    yield f"full: all before it; recent: {result.window} at most; gain: recent - full, 95 % intervals"
    rows = [
        {
            "position": _places(row),
            "full": _ends(row, "full", ""),
            "recent": _mean(row, "recent"),
            "gain": _ends(row, "gain"),
            "": "beyond the window" if row["beyond"] else "",
        }
        for row in result.bins
    ]
    yield Rows(rows, left=("full", "gain", ""))


def _retrieval(result: Any) -> Iterator[Part]:
    yield f"{result.model}: {result.probes} texts a cell, each read twice; chance {result.chance:.0%}"
    yield "gain: nats by which planting a value makes it likelier, 0 where it is not found; 95 % intervals"
    rows = [
        {
            "tokens": row["tokens"],
            "depth": f"{row['depth']:g} %",
            "right": _share(row, "accuracy"),
            "gain": _ends(row, "gain"),
        }
        for row in result.cells
    ]
    yield Rows(rows, left=("gain",))


_KINDS: dict[str, Callable[..., Iterator[Part]]] = {
    "Exposure": _exposure,
    "Memorisation": _memorisation,
    "Completion": _completion,
    "RouterLoad": _router,
    "Positions": _positions,
    "Retrieval": _retrieval,
}
"""By the name of the result's class."""


def _mean(row: Row, name: str) -> str:
    return f"{row[name]:.3f}"


def _ends(row: Row, name: str, sign: str = "+") -> str:
    """A mean with its interval."""
    value, low, high = (f"{row[key]:{sign}.3f}" for key in (name, f"{name}_low", f"{name}_high"))
    return f"{value} ({low} to {high})"


def _share(row: Row, name: str) -> str:
    return f"{row[name]:.0%} ({row[f'{name}_low']:.0%} to {row[f'{name}_high']:.0%})"


def _places(row: Row) -> str:
    return f"{row['first']}-{row['last']}" if row["last"] > row["first"] else str(row["first"])


def _times(row: Row) -> str:
    """How often spans stand in the corpus."""
    if row["times"] < 2:
        return "once" if row["times"] else "never seen"
    return f"{row['times']}-{row['times_last']}"


def _shortened(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= 100 else f"{plain[:99]}…"
