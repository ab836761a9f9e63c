"""tokenworth pretrain and tokenworth mixture."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tokenworth.backbones.model_choice import WeightChoice
from tokenworth.cli.console import is_main_process, print_json, print_rows, progress_report, say, tell
from tokenworth.cli.options import Given, Options, Output, said, takes
from tokenworth.pretraining.mixture_settings import WeighingConfig
from tokenworth.pretraining.pretraining_settings import PretrainConfig, TrainingConfig
from tokenworth.settings import OutFolder

if TYPE_CHECKING:
    from tokenworth.pretraining import FoundWeights

_RunFile = Annotated[Path, said("RUN.yaml: sources, tokenizer, model, training; options go before it.")]
_RUN = (Options(TrainingConfig, defaults=False), Options(PretrainConfig, "seed", defaults=False), WeightChoice, Output)


def _read(file: Path, given: Given) -> PretrainConfig:
    from tokenworth.pretraining import read_config

    return read_config(file, **given.of(TrainingConfig), **given.of(PretrainConfig))


@takes(*_RUN)
def pretrain(
    file: _RunFile,
    /,
    *,
    out: Annotated[
        Path | None, said("RUN, the folder of the run; by default out/pretrain/NAME of the file.", OutFolder)
    ] = None,
    given: Given,
) -> None:
    from tokenworth.pretraining import PretrainPage
    from tokenworth.pretraining import pretrain as train
    from tokenworth.report import write_report

    config, place = _read(file, given), out or Path("out/pretrain") / file.stem
    with progress_report(quiet=given.quiet) as progress:
        run = train(config, place, progress=progress)
    if not is_main_process():
        return
    page = write_report(PretrainPage.load(place), place / "report.html")
    if given.json:
        print_json(asdict(run), indent=None)
    else:
        tell(f"{run.tokens:,} tokens, {run.tokens_per_second:,.0f} a second, in {place}")
        tell(f"{'held out':<24}{'nats a token':>14}{'perplexity':>14}{'bits a byte':>14}")
        for name, losses in run.held_out.items():
            tell(f"{name:<24}{losses['nll']:>14.3f}{losses['perplexity']:>14.1f}{losses['bits_per_byte']:>14.3f}")
    say(f"report: {page.resolve()}")


@takes(WeighingConfig, *_RUN)
def mixture(
    file: _RunFile,
    /,
    *,
    out: Annotated[Path | None, said("Folder; by default out/mixture/NAME of the file.", OutFolder)] = None,
    given: Given,
) -> None:
    from tokenworth.base.atomic_files import jsonable
    from tokenworth.pretraining import PretrainPage, find_weights
    from tokenworth.report import write_report

    config, place = _read(file, given), out or Path("out/mixture") / file.stem
    with progress_report(quiet=given.quiet) as progress:
        weights = find_weights(config, place, WeighingConfig(**given.of(WeighingConfig)), progress=progress)
    if not is_main_process():
        return
    page = write_report(PretrainPage.load(place / f"round-{len(weights.rounds)}" / "proxy"), place / "report.html")
    if given.json:
        print_json(jsonable(weights.asdict()))
    else:
        _print_weights(weights)
    say(f"run file with these weights: {place / 'run.yaml'}")
    say(f"report: {page.resolve()}")


def _print_weights(weights: FoundWeights) -> None:
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
    print_rows(rows, right=list(rows[0])[1:])
    tell("excess, reference, proxy: nats a token; the last two on held-out documents")
    if len(weights.rounds) > 1:
        ended = "settled" if weights.settled else f"still moving by {last.change:.3f}"
        tell(f"{len(weights.rounds)} rounds, {ended}")


def _nats(value: Any) -> str:
    return "-" if value is None else f"{value:.3f}"
