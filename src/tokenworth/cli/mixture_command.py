"""tokenworth mixture: weights for the sources of a pretraining run."""

from __future__ import annotations

import json as encoder
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import tokenworth.cli.shared_options as options
from tokenworth.cli.console import is_main_process, print_rows, progress_report, say, set_verbosity

if TYPE_CHECKING:
    from tokenworth.pretraining.mixture_weights import FoundWeights


@options.reads_pickles
def mixture(
    file: Annotated[Path, typer.Argument(metavar="RUN.yaml", help="Sources with weights, and the small runs to make.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder.", show_default="out/mixture/NAME of the file", parser=options.folder, metavar="PATH"
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="At most; each begins with the last one's weights.")] = 1,
    step_size: Annotated[float, typer.Option(help="How fast weights follow excess losses.")] = 1.0,
    smoothing: Annotated[float, typer.Option(help="Part of the weights that all get alike.")] = 1e-3,
    tokens: options.RunTokens = None,
    device: options.RunDevice = None,
    dtype: options.RunDtype = None,
    seed: options.RunSeed = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Find weights for sources by DoReMi: a reference run, and a proxy that learns where it lags behind.

    OUT gets run.yaml (the run file with the weights found), mixture.json, trajectory.csv and report.html; the same
    command goes on after an interruption.
    """
    from tokenworth.base.atomic_files import jsonable
    from tokenworth.pretraining import PretrainPage, read_config
    from tokenworth.pretraining.mixture_weights import WeighingConfig, find_weights
    from tokenworth.report import write_report

    set_verbosity(verbose=verbose, quiet=quiet)
    config = read_config(file, tokens=tokens, device=device, dtype=dtype, seed=seed)
    settings = WeighingConfig(rounds=rounds, step_size=step_size, smoothing=smoothing)
    place = out or Path("out/mixture") / file.stem
    with progress_report(quiet=quiet) as progress:
        found = find_weights(config, place, settings, progress=progress)
    if not is_main_process():
        return
    page = write_report(PretrainPage.load(place / f"round-{len(found.rounds)}" / "proxy"), place / "report.html")
    if json:
        typer.echo(encoder.dumps(jsonable(found.asdict()), indent=1))
    else:
        _print(found)
    say(f"run file with these weights: {place / 'run.yaml'}", quiet=quiet)
    say(f"report: {page.resolve()}", quiet=quiet)


def _print(found: FoundWeights) -> None:
    first, last = found.rounds[0], found.rounds[-1]
    rows = [
        {"source": name, "given": f"{first.given[name]:.3f}", "found": f"{weight:.3f}",
         "of the bytes": f"{found.bytes[name]:.3f}", "excess": f"{last.excess[name]:.3f}",
         "reference": _nats(last.reference.get(name)), "proxy": _nats(last.proxy.get(name))}
        for name, weight in found.weights.items()
    ]  # fmt: skip
    print_rows(rows, json=False, right=list(rows[0])[1:])
    typer.echo("excess, reference, proxy: nats a token; the last two on held-out documents")
    if len(found.rounds) > 1:
        ended = "settled" if found.settled else f"still moving by {last.change:.3f}"
        typer.echo(f"{len(found.rounds)} rounds, {ended}")


def _nats(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
