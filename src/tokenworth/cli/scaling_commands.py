"""tokenworth scaling: laws of loss fitted to runs, and what to train with a budget."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from tokenworth.cli.console import print_json, say, tell
from tokenworth.cli.options import Given, Options, Output, said, takes
from tokenworth.errors import SettingError
from tokenworth.scaling_laws.scaling_settings import FitCall
from tokenworth.settings import OutFolder


@takes(FitCall, Options(Output, "json", "quiet"))
def fit(
    runs: Annotated[Path, said("Table of parameters, tokens, loss in nats; or a folder of runs.")],
    /,
    *,
    form: str = "chinchilla",
    out: Annotated[Path | None, said("Folder for fit.json; by default none is written.", OutFolder)] = None,
    given: Given,
) -> None:
    from tokenworth.base.atomic_files import jsonable, write_text, writing
    from tokenworth.scaling_laws import fit_scaling, read_runs

    law = fit_scaling(read_runs(runs), form, **given.of(FitCall))
    facts = jsonable(law.asdict())
    if out is not None:
        with writing(out) as place:
            write_text(place / "fit.json", json.dumps(facts, indent=1))
        say(f"fit: {out / 'fit.json'}")
    if given.json:
        print_json(facts)
        return
    tell(f"{form}, {law.runs} runs, off by {law.error:.2%} (root mean square)")
    for name, value in law.constants.items():
        tell(f"{name:<8} {value:>12.5g}   {law.low[name]:.5g} to {law.high[name]:.5g}")
    for note in law.notes:
        tell(f"! {note}")


@takes(Options(Output, "json"))
def plan(
    fitted: Annotated[Path, said("Folder or file that `fit --out` wrote.")],
    /,
    *,
    flops: Annotated[float, said("All that may be spent, such as 1e20.")],
    served: Annotated[float, said("Tokens the model will read or write in its life.")] = 0.0,
    given: Given,
) -> None:
    from tokenworth.scaling_laws import ScalingFit, plans

    path = fitted / "fit.json" if fitted.is_dir() else fitted
    try:
        law = ScalingFit(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise SettingError(f"{path} is no fit; give what tokenworth scaling fit --out wrote") from error
    ways = plans(law, flops, served)
    if given.json:
        names = ("name", "parameters", "tokens", "tokens_per_parameter", "train_flops", "serve_flops", "loss")
        print_json([{name: getattr(way, name) for name in names} for way in ways])
        return
    tell(f"{'':<24}{'parameters':>12}{'tokens':>12}{'tokens/par.':>13}{'loss':>8}")
    for way in ways:
        counts = f"{way.parameters:>12.3g}{way.tokens:>12.3g}{way.tokens_per_parameter:>13.1f}{way.loss:>8.3f}"
        tell(f"{way.name:<24}{counts}")
