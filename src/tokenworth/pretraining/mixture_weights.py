"""Which weights should the sources have?  DoReMi: two small runs a round, and the weights settle.

    OUT/round-1/reference    an ordinary run on the weights of the run file
    OUT/round-1/proxy        the same decoder under group DRO against it, its sources drawn alike (`group_dro.py`)
    OUT/round-2/...          the same, on the weights that round 1 found
    OUT/tokens               tokenizer and token shards of them all
    OUT/mixture.json         weights, excess losses and held-out losses of every round
    OUT/trajectory.csv       weights and excess losses at every step
    OUT/run.yaml             the run file with the weights found

Both are pretraining runs, so the same command goes on where it was, and a finished one is read.

Source: Xie et al. (2023), DoReMi, arXiv 2305.10429, sections 2 and 3.3 (iterated).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tokenworth.base.aliases import Progress
from tokenworth.base.atomic_files import jsonable, write_text
from tokenworth.base.keywords import known_keywords
from tokenworth.base.processes import join_processes
from tokenworth.errors import SettingError
from tokenworth.pretraining.group_dro import ExcessLoss
from tokenworth.pretraining.metrics_log import read_journal
from tokenworth.pretraining.mixture_settings import WeighingConfig
from tokenworth.pretraining.pretrain_result import PretrainRun
from tokenworth.pretraining.pretrain_run import pretrain
from tokenworth.pretraining.pretraining_settings import PretrainConfig, read_config

Shares = Mapping[str, float]
_LAST = 0.1
"""Share of the steps at the end over which excess losses are reported."""
_DECIMALS = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """What one pair of runs says; all by source."""

    given: dict[str, float]
    """Shares of the tokens that the reference learnt from."""
    weights: dict[str, float]
    """Mean over the proxy's steps; sum 1."""
    excess: dict[str, float]
    """Nats a token by which the proxy was worse, clipped at 0 token by token, at the end of its run."""
    reference: dict[str, float]
    """Nats a token on held-out documents."""
    proxy: dict[str, float]

    @property
    def change(self) -> float:
        """The largest difference between a weight and the one given."""
        return max(abs(weight - self.given[name]) for name, weight in self.weights.items())


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundWeights:
    """Weights of sources, and how they came about."""

    weights: dict[str, float]
    """Shares of the tokens, for the sources of a run file."""
    bytes: dict[str, float]
    """The same as shares of the bytes, for the sources of a corpus file."""
    rounds: list[Round]
    """In order; the last one's weights are those found."""
    settled: bool
    """Whether the last round left the weights where they were."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Of the search."""

    def asdict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self) | {"rounds": [asdict(round_) | {"change": round_.change} for round_ in self.rounds]}


@known_keywords
def find_weights(
    config: PretrainConfig | str | Path,
    out: str | Path,
    settings: WeighingConfig | None = None,
    *,
    progress: Progress | None = None,
) -> FoundWeights:
    """Weights of a run's sources by DoReMi; called again, it goes on.

    Each round costs a run of the run's model and tokens, and another one with two forward passes more a step (about
    5/3 of it).  Sources of weight 0 are left out; annealing weights do not take part.

    Args:
        config: settings of the small runs, or the YAML file that holds them.
        out: OUT, as above.
        settings: of the search; None takes the defaults.
        progress: as of `pretrain`, which this raises the errors of.
    """
    config = config if isinstance(config, PretrainConfig) else read_config(config)
    settings, folder = settings or WeighingConfig(), Path(out)
    weights = _shares({name: source.weight for name, source in config.sources.items() if source.weight > 0})
    if len(weights) < 2:
        raise SettingError("weights are found for two sources at least; give a second one a weight above 0")
    rounds: list[Round] = []
    while len(rounds) < settings.rounds and not _settled(rounds, settings):
        rounds.append(_round(config, weights, folder / f"round-{len(rounds) + 1}", settings, progress))
        weights = rounds[-1].weights
    packed = PretrainRun.load(folder / "round-1" / "reference").sources
    size = {name: w * packed[name]["train_bytes"] / packed[name]["train_tokens"] for name, w in weights.items()}
    result = FoundWeights(
        weights=_round_shares(weights),
        bytes=_round_shares(_shares(size)),
        rounds=rounds,
        settled=_settled(rounds, settings),
        settings=asdict(settings),
    )
    if join_processes().is_main:
        _save(result, config, folder)
    return result


def _settled(rounds: list[Round], settings: WeighingConfig) -> bool:
    return bool(rounds) and rounds[-1].change < settings.settled


def _round(
    config: PretrainConfig, before: Shares, folder: Path, settings: WeighingConfig, progress: Progress | None
) -> Round:
    reference = pretrain(_small(config, before, folder.parent), folder / "reference", progress=progress)
    last = folder / "reference" / "checkpoints" / f"tokens-{reference.tokens}"
    emphasis = ExcessLoss(reference=str(last), step_size=settings.step_size, smoothing=settings.smoothing)
    alike = _small(config, dict.fromkeys(before, 1.0), folder.parent)
    proxy = pretrain(alike, folder / "proxy", emphasis=emphasis, progress=progress)
    steps = _weight_rows(folder / "proxy")
    # On held-out documents; a source too small to hold any out has no loss.
    nats = [{name: run.held_out[name]["nll"] for name in before if name in run.held_out} for run in (reference, proxy)]
    return Round(
        given=dict(before),
        weights=_shares(_means(steps, "weights")),
        excess=_means(steps[-max(1, round(_LAST * len(steps))) :], "excess"),
        reference=nats[0],
        proxy=nats[1],
    )


def _small(config: PretrainConfig, weights: Shares, home: Path) -> PretrainConfig:
    """A run of the search: its sources alone, no annealing, no samples, no checkpoints on the way."""
    sources = {
        name: replace(config.sources[name], weight=weight, annealing_weight=None) for name, weight in weights.items()
    }
    training = replace(config.training, annealing_share=0.0, trace_per_decade=0)
    return replace(config, sources=sources, training=training, shards=config.shards or str(home / "tokens"), prompts=())


def _weight_rows(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's journal that have weights: step, tokens, weights, excess, ..."""
    return [row for row in read_journal(run / "metrics.jsonl") if "weights" in row]


def _means(rows: list[dict[str, Any]], key: str) -> dict[str, float]:
    return {name: float(np.mean([row[key][name] for row in rows])) for name in rows[0][key]}


def _shares(values: Shares) -> dict[str, float]:
    total = sum(values.values())
    return {name: value / total for name, value in values.items()}


def _round_shares(shares: Shares) -> dict[str, float]:
    """To six decimals, the largest taking what is left: they still sum to 1."""
    rounded = {name: round(share, _DECIMALS) for name, share in shares.items()}
    largest = max(rounded, key=lambda name: rounded[name])
    rounded[largest] = round(1 - sum(value for name, value in rounded.items() if name != largest), _DECIMALS)
    return rounded


def _save(result: FoundWeights, config: PretrainConfig, folder: Path) -> None:
    import yaml

    write_text(folder / "mixture.json", json.dumps(jsonable(result.asdict()), indent=1, ensure_ascii=False))
    write_text(folder / "trajectory.csv", _trajectory(folder, len(result.rounds), list(result.weights)))
    sources = {
        name: replace(source, weight=result.weights.get(name, source.weight)) for name, source in config.sources.items()
    }
    text = yaml.safe_dump(replace(config, sources=sources).asdict(), sort_keys=False, allow_unicode=True)
    write_text(folder / "run.yaml", text)


def _trajectory(folder: Path, rounds: int, names: list[str]) -> str:
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(["round", "step", "tokens", *(f"{kind} {name}" for kind in ("weight", "excess") for name in names)])
    for number in range(1, rounds + 1):
        for row in _weight_rows(folder / f"round-{number}" / "proxy"):
            values = [row[kind][name] for kind in ("weights", "excess") for name in names]
            table.writerow([number, row["step"], row["tokens"], *values])
    return written.getvalue()
