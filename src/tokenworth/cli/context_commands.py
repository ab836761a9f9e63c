"""tokenworth measure positions, measure retrieval and extend: contexts longer than those trained on."""

from __future__ import annotations

import json as encoder
from pathlib import Path
from typing import Annotated

import typer

import tokenworth.cli.measure_options as measured
import tokenworth.cli.shared_options as options


@options.reads_pickles
def positions(
    model: measured.Model,
    files: measured.Files,
    length: Annotated[int | None, typer.Option(min=2, help="Tokens read.", show_default="4 x window")] = None,
    window: Annotated[int | None, typer.Option(min=2, help="Trained length.", show_default="the model's")] = None,
    bins: Annotated[int, typer.Option(min=1, help="Ranges of positions.")] = 16,
    texts: measured.Most = 100,
    whole: measured.Whole = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    dtype: measured.Dtype = "float32",
    out: options.Out = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Loss by position in long documents, and what context beyond the trained length is worth."""
    from tokenworth.measures import documents_of, measure_positions

    decoder = measured.load(model, device, dtype, seed, quiet)
    found = measure_positions(
        decoder, documents_of(files, whole=whole), length=length, window=window, bins=bins, most=texts, seed=seed
    )
    if measured.given("positions", found.asdict(), out, json=json, quiet=quiet):
        return
    typer.echo(f"{found.model}: nats a token on {found.texts} documents of {found.length} tokens")
    typer.echo(f"full: all before it; recent: {found.window} at most; gain: recent - full, 95 % intervals")
    rows = [
        {"position": measured.places(row), "full": measured.ends(row, "full", ""),
         "recent": measured.nats(row, "recent"), "gain": measured.ends(row, "gain"),
         "": "beyond the window" if row["beyond"] else ""}
        for row in found.bins
    ]  # fmt: skip
    measured.show(rows, left=("full", "gain", ""))


@options.reads_pickles
def retrieval(
    model: measured.Model,
    files: measured.Files,
    lengths: Annotated[str | None, typer.Option(help="Tokens, such as 512,2048.", show_default="1, 2, 4 x")] = None,
    values: Annotated[int, typer.Option(min=2, help="Answers to choose from.")] = 10,
    probes: Annotated[int, typer.Option(min=2, help="Texts of each length and depth.")] = 10,
    whole: measured.Whole = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    dtype: measured.Dtype = "float32",
    out: options.Out = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Whether a planted fact is found again, by length of the text and depth of the fact."""
    from tokenworth.measures import documents_of, measure_retrieval

    decoder = measured.load(model, device, dtype, seed, quiet)
    found = measure_retrieval(
        decoder, documents_of(files, whole=whole), lengths=measured.counts(lengths) if lengths else None, values=values,
        probes=probes, seed=seed,
    )  # fmt: skip
    if measured.given("retrieval", found.asdict(), out, json=json, quiet=quiet):
        return
    typer.echo(f"{found.model}: {found.probes} texts a cell, each read twice; chance {found.chance:.0%}")
    typer.echo("gain: nats by which planting a value makes it likelier, 0 where it is not found; 95 % intervals")
    rows = [
        {"tokens": row["tokens"], "depth": f"{row['depth']:g} %", "right": measured.share(row, "accuracy"),
         "gain": measured.ends(row, "gain")}
        for row in found.cells
    ]  # fmt: skip
    measured.show(rows, left=("gain",))


@options.reads_pickles
def extend(
    model: measured.Model,
    out: Annotated[Path, typer.Option(help="Folder of the new checkpoint.", parser=options.folder, metavar="PATH")],
    factor: Annotated[float, typer.Option(help="How many times as long.")] = 4.0,
    method: Annotated[str, typer.Option(help="yarn, ntk, linear or base.")] = "yarn",
    base: Annotated[float | None, typer.Option(help="The new base, for --method base.")] = None,
    trained: Annotated[int | None, typer.Option(help="Trained length.", show_default="as config.json says")] = None,
    json: options.Json = False,
) -> None:
    """Make a checkpoint ready for a longer context: the same weights, rotary positions scaled."""
    from tokenworth.base.atomic_files import jsonable
    from tokenworth.measures import extend_checkpoint

    found = extend_checkpoint(model, out, factor=factor, method=method, base=base, trained=trained)
    if json:
        typer.echo(encoder.dumps(jsonable(found.asdict()), indent=1))
        return
    typer.echo(f"{out}: {found.context_before:,} -> {found.context:,} tokens by {found.method}, weights unchanged")
    typer.echo(", ".join(f"{key} {value}" for key, value in found.rope_parameters.items()))
