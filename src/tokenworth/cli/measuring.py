"""tokenworth measure and tokenworth extend: what a pretrained decoder does beside its loss."""

from __future__ import annotations

import json as encoder
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import tokenworth.cli.options as options
from tokenworth.cli.console import print_rows, say, set_verbosity
from tokenworth.errors import SettingError

if TYPE_CHECKING:
    from tokenworth.measures import Decoder

app = typer.Typer(help="Exposure, memory, positions, retrieval and routing of a decoder.", no_args_is_help=True)

Model = Annotated[str, typer.Argument(metavar="MODEL", help="Folder or hub id; @random appended: random weights.")]
Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help=".txt, .txt.zst, .csv, .jsonl or .parquet.")]
Whole = Annotated[bool, typer.Option("--whole", help="A .txt file is one document.")]
Most = Annotated[int, typer.Option("--texts", min=2, help="Documents to read, sampled.")]
Prefixes = Annotated[str, typer.Option(help="Lengths in tokens, such as 16,64.")]
Dtype = Annotated[str, typer.Option(help="float32, bfloat16, float16 or float64.")]


@app.command()
def exposure(
    model: Model,
    files: Files,
    prefixes: Prefixes = "16,64,128",
    continuation: Annotated[int, typer.Option(min=1, help="Tokens behind a prefix.")] = 32,
    start: Annotated[int, typer.Option(min=1, help="Real tokens that samples begin with.")] = 1,
    reference: Annotated[str | None, typer.Option(help="Another model of the same tokens, as a judge.")] = None,
    texts: Most = 200,
    whole: Whole = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    dtype: Dtype = "float32",
    out: options.Out = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """What a model's own text costs it, against another real text, by place behind the prefix."""
    from tokenworth.measures import documents_of, load_decoder, measure_exposure

    decoder = _load(model, device, dtype, seed, quiet)
    judge = None if reference is None else load_decoder(reference, device=device, dtype=dtype, seed=seed)
    found = measure_exposure(
        decoder, documents_of(files, whole=whole), prefixes=_counts(prefixes), continuation=continuation,
        start=start, most=texts, seed=seed, reference=judge,
    )  # fmt: skip
    if _given("exposure", found.asdict(), out, json=json, quiet=quiet):
        return
    typer.echo(f"{found.model}: nats a token on {found.texts} documents, 95 % intervals over documents")
    places = [
        {"prefix": row["prefix"], "place": _range(row), "own document": _nats(row, "gold"),
         "sampled": _nats(row, "own"), "another's": _nats(row, "other"),
         "exposure": _ends(row, "exposure"), "mismatch": _ends(row, "mismatch")}
        for row in found.continuation
    ]  # fmt: skip
    _show(places, left=("exposure", "mismatch"))
    typer.echo("\nsampled text by position: above 0 more random than real text, below 0 more repetitive")
    judged = {} if judge is None else {"judge: documents": "reference_gold", "judge: samples": "reference_sampled"}
    drift = [
        {"position": _range(row), "documents": _nats(row, "gold"), "samples": _nats(row, "sampled"),
         "drift": _ends(row, "drift")} | {name: _nats(row, key) for name, key in judged.items()}
        for row in found.drift
    ]  # fmt: skip
    _show(drift, left=("drift",))


@app.command()
def memorisation(
    model: Model,
    files: Files,
    held_out: Annotated[list[Path] | None, typer.Option(help="Texts it was not trained on, as a control.")] = None,
    prefixes: Prefixes = "8,32,64",
    span: Annotated[int, typer.Option(min=1, help="Tokens to be recited.")] = 32,
    spans: Annotated[int, typer.Option(min=1, help="Spans of each group.")] = 200,
    whole: Whole = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    dtype: Dtype = "float32",
    out: options.Out = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Which spans of its training FILEs a model recites, by prefix length and by how often they stand there."""
    from tokenworth.measures import documents_of, measure_memorisation

    decoder = _load(model, device, dtype, seed, quiet)
    unseen = documents_of(held_out, whole=whole) if held_out else ()
    found = measure_memorisation(
        decoder, documents_of(files, whole=whole), unseen, prefixes=_counts(prefixes), span=span, most=spans, seed=seed
    )
    if _given("memorisation", found.asdict(), out, json=json, quiet=quiet):
        return
    typer.echo(f"{found.model}: spans of {found.span} tokens out of {found.tokens:,}; 95 % intervals")
    rows = [
        {"prefix": row["prefix"], "times in corpus": _times(row), "spans": row["spans"], "exact": _share(row, "exact"),
         "within a tenth": _share(row, "approximate")}
        for row in found.rates
    ]  # fmt: skip
    _show(rows)
    for one in found.examples:
        typer.echo(f"recited after {one['prefix']} tokens, stands {one['times']} times: {_shortened(one['text'])}")


@app.command()
def positions(
    model: Model,
    files: Files,
    length: Annotated[int | None, typer.Option(min=2, help="Tokens read.", show_default="4 x window")] = None,
    window: Annotated[int | None, typer.Option(min=2, help="Trained length.", show_default="the model's")] = None,
    bins: Annotated[int, typer.Option(min=1, help="Ranges of positions.")] = 16,
    texts: Most = 100,
    whole: Whole = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    dtype: Dtype = "float32",
    out: options.Out = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Loss by position in long documents, and what context beyond the trained length is worth."""
    from tokenworth.measures import documents_of, measure_positions

    decoder = _load(model, device, dtype, seed, quiet)
    found = measure_positions(
        decoder, documents_of(files, whole=whole), length=length, window=window, bins=bins, most=texts, seed=seed
    )
    if _given("positions", found.asdict(), out, json=json, quiet=quiet):
        return
    typer.echo(f"{found.model}: nats a token on {found.texts} documents of {found.length} tokens")
    typer.echo(f"full: all before it; recent: {found.window} at most; gain: recent - full, 95 % intervals")
    rows = [
        {"position": _range(row), "full": _ends(row, "full", ""), "recent": _nats(row, "recent"),
         "gain": _ends(row, "gain"), "": "beyond the window" if row["beyond"] else ""}
        for row in found.bins
    ]  # fmt: skip
    _show(rows, left=("full", "gain", ""))


@app.command()
def retrieval(
    model: Model,
    files: Files,
    lengths: Annotated[str | None, typer.Option(help="Tokens, such as 512,2048.", show_default="1, 2, 4 x")] = None,
    values: Annotated[int, typer.Option(min=2, help="Answers to choose from.")] = 10,
    probes: Annotated[int, typer.Option(min=2, help="Texts of each length and depth.")] = 10,
    whole: Whole = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    dtype: Dtype = "float32",
    out: options.Out = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Whether a planted fact is found again, by length of the text and depth of the fact."""
    from tokenworth.measures import documents_of, measure_retrieval

    decoder = _load(model, device, dtype, seed, quiet)
    found = measure_retrieval(
        decoder, documents_of(files, whole=whole), lengths=_counts(lengths) if lengths else None, values=values,
        probes=probes, seed=seed,
    )  # fmt: skip
    if _given("retrieval", found.asdict(), out, json=json, quiet=quiet):
        return
    typer.echo(f"{found.model}: {found.probes} texts a cell, each read twice; chance {found.chance:.0%}")
    typer.echo("gain: nats by which planting a value makes it likelier, 0 where it is not found; 95 % intervals")
    rows = [
        {"tokens": row["tokens"], "depth": f"{row['depth']:g} %", "right": _share(row, "accuracy"),
         "gain": _ends(row, "gain")}
        for row in found.cells
    ]  # fmt: skip
    _show(rows, left=("gain",))


@app.command()
def router(
    model: Model,
    files: Files,
    length: Annotated[int, typer.Option(min=1, help="Tokens of a text; longer ones are cut.")] = 128,
    texts: Most = 200,
    whole: Whole = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    dtype: Dtype = "float32",
    out: options.Out = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Load of every expert of a mixture, layer by layer."""
    from tokenworth.measures import documents_of, router_load, rows_of

    decoder = _load(model, device, dtype, seed, quiet)
    decoder.check_length(length)
    found = router_load(decoder, rows_of(decoder, documents_of(files, whole=whole), length, most=texts, seed=seed))
    if _given("router", found.asdict(), out, json=json, quiet=quiet):
        return
    typer.echo(f"{model}: {found.tokens:,} tokens, {found.experts_per_token} experts each")
    rows = [
        {"layer": row["layer"], "cv": f"{row['cv']:.3f}", "entropy": f"{row['entropy']:.3f}",
         "dead": f"{row['dead']:.0%}", "balance": f"{row['balance']:.3f}",
         "load of each expert, %": " ".join(f"{100 * load:.0f}" for load in row["load"])}
        for row in found.layers()
    ]  # fmt: skip
    _show(rows, left=("load of each expert, %",))


def extend(
    model: Model,
    out: Annotated[Path, typer.Option(help="Folder of the new checkpoint.")],
    factor: Annotated[float, typer.Option(help="How many times as long.")] = 4.0,
    method: Annotated[str, typer.Option(help="yarn, ntk, linear or base.")] = "yarn",
    base: Annotated[float | None, typer.Option(help="The new base, for --method base.")] = None,
    trained: Annotated[int | None, typer.Option(help="Trained length.", show_default="as config.json says")] = None,
    json: options.Json = False,
) -> None:
    """Make a checkpoint ready for a longer context: the same weights, rotary positions scaled."""
    from tokenworth.assessment.result import jsonable
    from tokenworth.measures import extend_checkpoint

    found = extend_checkpoint(model, out, factor=factor, method=method, base=base, trained=trained)
    if json:
        typer.echo(encoder.dumps(jsonable(found.asdict()), indent=1))
        return
    typer.echo(f"{out}: {found.context_before:,} -> {found.context:,} tokens by {found.method}, weights unchanged")
    typer.echo(", ".join(f"{key} {value}" for key, value in found.rope_parameters.items()))


def _load(model: str, device: str, dtype: str, seed: int, quiet: bool) -> Decoder:
    from tokenworth.measures import load_decoder

    set_verbosity(verbose=False, quiet=quiet)
    return load_decoder(model, device=device, dtype=dtype, seed=seed)


def _counts(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise SettingError(f"{text!r} is no list of numbers of tokens; write them as 16,64,128") from error


def _given(name: str, result: dict[str, Any], out: Path | None, *, json: bool, quiet: bool) -> bool:
    """Write and print the result as JSON where that is asked for; whether it was printed."""
    from tokenworth.assessment.result import jsonable, write_text, writing

    text = encoder.dumps(jsonable(result), indent=1)
    if out is not None:
        with writing(out) as place:
            write_text(place / f"{name}.json", text)
        say(f"{name}: {out / name}.json", quiet=quiet)
    if json:
        typer.echo(text)
    return json


def _show(rows: list[dict[str, Any]], left: tuple[str, ...] = ()) -> None:
    print_rows(rows, json=False, right=[head for head in rows[0] if head not in left])


def _nats(row: dict[str, Any], name: str) -> str:
    return f"{row[name]:.3f}"


def _ends(row: dict[str, Any], name: str, sign: str = "+") -> str:
    value, low, high = (f"{row[key]:{sign}.3f}" for key in (name, f"{name}_low", f"{name}_high"))
    return f"{value} ({low} to {high})"


def _share(row: dict[str, Any], name: str) -> str:
    return f"{row[name]:.0%} ({row[f'{name}_low']:.0%} to {row[f'{name}_high']:.0%})"


def _range(row: dict[str, Any]) -> str:
    return f"{row['first']}-{row['last']}" if row["last"] > row["first"] else str(row["first"])


def _times(row: dict[str, Any]) -> str:
    if row["times"] < 2:
        return "once" if row["times"] else "never seen"
    return f"{row['times']}-{row['times_last']}"


def _shortened(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= 100 else f"{plain[:99]}…"
