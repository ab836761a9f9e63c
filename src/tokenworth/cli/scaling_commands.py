"""tokenworth scaling: laws of loss fitted to runs, and what to train with a budget."""

from __future__ import annotations

import json as encoder
from pathlib import Path
from typing import Annotated

import typer

import tokenworth.cli.shared_options as options
from tokenworth.cli.console import say
from tokenworth.errors import SettingError

app = typer.Typer(help="Fit scaling laws to finished runs, and plan with them.", no_args_is_help=True)


@app.command()
def fit(
    runs: Annotated[
        Path,
        typer.Argument(metavar="RUNS", help="Table of parameters, tokens, loss in nats; or a folder of runs."),
    ],
    form: Annotated[str, typer.Option(help="chinchilla, kaplan or isoflop.")] = "chinchilla",
    bootstrap: Annotated[int, typer.Option(min=0, help="Samples of runs for the intervals.")] = 200,
    out: options.Out = None,
    seed: options.Seed = 0,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Constants of a law with 95 % intervals; OUT gets fit.json."""
    from tokenworth.base.atomic_files import jsonable, write_text, writing
    from tokenworth.scaling_laws.loss_fit import fit_scaling
    from tokenworth.scaling_laws.run_table import read_runs

    found = fit_scaling(read_runs(runs), form, bootstrap=bootstrap, seed=seed)
    text = encoder.dumps(jsonable(found.asdict()), indent=1)
    if out is not None:
        with writing(out) as place:
            write_text(place / "fit.json", text)
        say(f"fit: {out / 'fit.json'}", quiet=quiet)
    if json:
        typer.echo(text)
        return
    typer.echo(f"{form}, {found.runs} runs, off by {found.error:.2%} (root mean square)")
    for name, value in found.constants.items():
        typer.echo(f"{name:<8} {value:>12.5g}   {found.low[name]:.5g} to {found.high[name]:.5g}")
    for note in found.notes:
        typer.echo(f"! {note}")


@app.command()
def plan(
    fitted: Annotated[Path, typer.Argument(metavar="FIT", help="Folder or file that `fit --out` wrote.")],
    flops: Annotated[float, typer.Option(help="All that may be spent, such as 1e20.")],
    served: Annotated[float, typer.Option(help="Tokens the model will read or write in its life.")] = 0.0,
    json: options.Json = False,
) -> None:
    """Parameters and tokens for a budget: best for training alone, and with serving paid from it."""
    from tokenworth.scaling_laws.loss_fit import ScalingFit
    from tokenworth.scaling_laws.training_plan import plans

    path = fitted / "fit.json" if fitted.is_dir() else fitted
    try:
        loaded = ScalingFit(**encoder.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise SettingError(f"{path} is no fit; give what tokenworth scaling fit --out wrote") from error
    found = plans(loaded, flops, served)
    if json:
        names = ("name", "parameters", "tokens", "tokens_per_parameter", "train_flops", "serve_flops", "loss")
        typer.echo(encoder.dumps([{name: getattr(one, name) for name in names} for one in found], indent=1))
        return
    typer.echo(f"{'':<24}{'parameters':>12}{'tokens':>12}{'tokens/par.':>13}{'loss':>8}")
    for one in found:
        typer.echo(
            f"{one.name:<24}{one.parameters:>12.3g}{one.tokens:>12.3g}{one.tokens_per_parameter:>13.1f}{one.loss:>8.3f}"
        )
