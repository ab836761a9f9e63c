"""tokenworth pretrain, mixture, tokenizer and scaling."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from tokenworth.backbones.model_choice import WeightChoice
from tokenworth.cli.console import is_main_process, print_json, print_lines, print_rows, say, tell, write_facts
from tokenworth.cli.options import Given, Options, Output, said, takes
from tokenworth.pretraining.mixture_settings import WeighingConfig
from tokenworth.pretraining.pretraining_settings import PretrainConfig, TrainingConfig
from tokenworth.report.terminal.progress import progress_report
from tokenworth.scaling_laws.scaling_settings import FitCall
from tokenworth.settings import OutFolder

_RunFile = Annotated[Path, said("RUN.yaml: sources, tokenizer, model, training; options go before it.")]
_RUN = (Options(TrainingConfig, defaults=False), Options(PretrainConfig, "seed", defaults=False), WeightChoice, Output)


@takes(*_RUN)
def pretrain(file: _RunFile, /, *, options: Given) -> None:
    from tokenworth.pretraining import PretrainPage, read_config
    from tokenworth.pretraining import pretrain as train
    from tokenworth.report import write_report
    from tokenworth.report.terminal.pretraining_lines import run_lines

    place = options.out or Path("out/pretrain") / file.stem
    config = read_config(file, **options.of(TrainingConfig), **options.of(PretrainConfig))
    with progress_report(quiet=options.quiet) as progress:
        run = train(config, place, progress=progress)
    if not is_main_process():
        return
    page = write_report(PretrainPage.load(place), place / "report.html")
    if options.json:
        print_json(asdict(run), indent=None)
    else:
        tell("\n".join(run_lines(run, place)))
    say(f"report: {page.resolve()}")


@takes(WeighingConfig, *_RUN)
def mixture(file: _RunFile, /, *, options: Given) -> None:
    from tokenworth.base.atomic_files import jsonable
    from tokenworth.pretraining import PretrainPage, find_weights, read_config
    from tokenworth.report import write_report
    from tokenworth.report.terminal.pretraining_lines import weight_rows

    place = options.out or Path("out/mixture") / file.stem
    config = read_config(file, **options.of(TrainingConfig), **options.of(PretrainConfig))
    with progress_report(quiet=options.quiet) as progress:
        weights = find_weights(config, place, WeighingConfig(**options.of(WeighingConfig)), progress=progress)
    if not is_main_process():
        return
    page = write_report(PretrainPage.load(place / f"round-{len(weights.rounds)}" / "proxy"), place / "report.html")
    if options.json:
        print_json(jsonable(weights.asdict()))
    else:
        rows, lines = weight_rows(weights)
        print_rows(rows, right=list(rows[0])[1:])
        tell(lines)
    say(f"run file with these weights: {place / 'run.yaml'}")
    say(f"report: {page.resolve()}")


_TokenizerFile = Annotated[Path, said("TOKENIZER.yaml: kind, vocabulary, sources.")]
_Out = Annotated[Path, said("Folder of the tokenizer.", OutFolder)]


@takes(Options(Output, "json"))
def train(file: _TokenizerFile, /, *, out: _Out = Path("out/tokenizer"), options: Given) -> None:
    from tokenworth.base.atomic_files import write_text, writing
    from tokenworth.report.terminal.pretraining_lines import fertility_lines
    from tokenworth.tokenizers.tokenizer_training import train_from_file

    with writing(out) as place:
        report = train_from_file(file, place)
        write_text(place / "fertility.json", json.dumps(report, indent=1))
    print_lines(report, fertility_lines(report, out), json=options.json)


_Runs = Annotated[Path, said("Table of parameters, tokens, loss in nats; or a folder of runs.")]
_Fit = Annotated[Path, said("Folder or file that `fit --out` wrote.")]
_Flops = Annotated[float, said("All that may be spent, such as 1e20.")]
_Served = Annotated[float, said("Tokens the model will read or write in its life.")]


@takes(Options(FitCall, "form", "bootstrap", "seed"), Options(Output, "out", "json", "quiet"))
def fit(runs: _Runs, /, *, options: Given) -> None:
    from tokenworth.base.atomic_files import jsonable
    from tokenworth.report.terminal.pretraining_lines import law_lines
    from tokenworth.scaling_laws import fit_scaling, read_runs

    law = fit_scaling(read_runs(runs), **options.of(FitCall))
    facts = jsonable(law.asdict())
    write_facts(facts, options.out, "fit")
    print_lines(facts, law_lines(law), json=options.json)


@takes(Options(Output, "json"))
def plan(fitted: _Fit, /, *, flops: _Flops, served: _Served = 0.0, options: Given) -> None:
    from tokenworth.report.terminal.pretraining_lines import plan_lines
    from tokenworth.scaling_laws import ScalingFit, plans

    ways = plans(ScalingFit.load(fitted), flops, served)
    names = ("name", "parameters", "tokens", "tokens_per_parameter", "train_flops", "serve_flops", "loss")
    print_lines([{name: getattr(way, name) for name in names} for way in ways], plan_lines(ways), json=options.json)
