"""Is pretraining worth its cost?  Tables of the study worth-real, on language models that people use.

    tokenworth study run worth-real --models FOLDER --data FOLDER
    python bench/decision.py --studies out/study/worth-real --beside-shipped --ship     # the cells, which decide reads
    python bench/worth.py --layers out/study/worth-real                                 # the layers, for this page
    python bench/worth.py --twins out/study/worth-real          # after study run worth-real-twins: their probes
    python bench/worth.py                                                               # the page, from what is shipped

Writes docs/results/worth.md; with --layers and --twins first docs/results/worth_layers.csv and worth_twins.csv, where
what they hold of other assessments stays: a study need not be run on one machine at one time.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from pages import write_page
from tokenworth.decision.budget import named_machine
from tokenworth.decision.calibration import full_length, shipped_calibration
from tokenworth.decision.predictor_evaluation import clustered
from tokenworth.study import StudyStore
from tokenworth.study.correlation import line_fit
from tokenworth.study.grid import ASSESS
from tokenworth.study.published_relations import published
from tokenworth.study.results_table import named_cells
from tokenworth.study.study_store import ASSESSED
from worth_scores import LAYER_FIGURES, layer_choice, ntps_claims, predicts_gain
from worth_twins import twin_table, twins_of

RESULTS = Path(__file__).parents[1] / "docs" / "results"
PAGE, LAYERS, TWINS = RESULTS / "worth.md", RESULTS / "worth_layers.csv", RESULTS / "worth_twins.csv"
INDICATORS = RESULTS / "worth_indicators.csv"
REAL = ("smollm2-135m", "gemma3-270m", "all-minilm-l6-v2")
CARD, PRICE = "a100", 2.5
"""What a million-dollar question is priced on: data sheet and share of it as in `decide`, dollars an hour."""
POINT = 0.01


def main() -> None:
    """Read what is shipped, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=Path, help="folder of the study whose layers are to be kept")
    parser.add_argument("--twins", type=Path, help="folder of the study whose random twins are to be kept")
    options = parser.parse_args()
    if options.layers is not None:
        layers = _beside_kept(_layers_of(options.layers), LAYERS, ["backbone", "task", "layer"])
        layers.round(5)[["backbone", "task", "layer", *LAYER_FIGURES]].to_csv(LAYERS, index=False)
    if options.twins is not None:
        _beside_kept(twins_of(options.twins), TWINS, ["backbone", "task"]).to_csv(TWINS, index=False)
    cells = full_length(shipped_calibration())
    cells = cells[cells["backbone"].isin(REAL)].reset_index(drop=True)
    places = _places(cells)
    if INDICATORS.is_file():
        places = places.merge(pd.read_csv(INDICATORS), how="left", on=["backbone", "task"])
    parts = [_head(cells), _table(places), _worth(places)]
    parts += [twin_table(pd.read_csv(TWINS), places)] if TWINS.is_file() else []
    parts += [_gap(places), _cost(cells)]
    parts += [ntps_claims(places), predicts_gain(places)]
    if LAYERS.is_file():
        parts.append(layer_choice(pd.read_csv(LAYERS), places))
    write_page(PAGE, ["\n\n".join(parts)])
    print(PAGE)


def _layers_of(folder: Path) -> pd.DataFrame:
    """Scores and probes of every layer of every assessment of the real backbones."""
    store, rows = StudyStore(folder), []
    cells, names = named_cells(None, store)
    for cell, key in cells:
        place = store.run_folder(key)
        task, backbone = names.of(cell)
        if cell.route == ASSESS and cell.seed == 0 and (place / ASSESSED).is_file() and backbone in REAL:
            layers = pd.read_parquet(place / "layers.parquet")
            rows.append(layers.reindex(columns=["layer", *LAYER_FIGURES]).assign(backbone=backbone, task=task))
    return pd.concat(rows, ignore_index=True)


def _beside_kept(found: pd.DataFrame, file: Path, place: list[str]) -> pd.DataFrame:
    """These rows, and of what the file holds those of other places."""
    kept = [pd.read_csv(file)] if file.is_file() else []
    return pd.concat([found, *kept], ignore_index=True).drop_duplicates(place).sort_values(place)


def _places(cells: pd.DataFrame) -> pd.DataFrame:
    """One row a backbone and task: what every route reached (means over seeds), and what was said before."""
    reached = cells.pivot_table(index=["backbone", "task"], columns="route", values="f1", aggfunc="mean")
    drawn = cells.sort_values("seed").drop_duplicates(["backbone", "task", "seed"]).groupby(["backbone", "task"])
    said = drawn.first(numeric_only=True).drop(columns=["f1", "seed"])  # layers are chosen for one draw of texts
    said[["bow_f1", "probe_f1"]] = drawn[["bow_f1", "probe_f1"]].mean()
    known = said.assign(bow=said["bow_f1"], probe=said["probe_f1"])
    routes = [name for name in ("lora", "full", "scratch") if name in reached]
    return known.join(reached[routes]).reset_index()


def _head(cells: pd.DataFrame) -> str:
    counted = cells.groupby(["backbone", "route"])["task"].nunique()
    runs = "; ".join(
        f"{backbone}: " + ", ".join(f"{route} on {n}" for route, n in own.droplevel(0).items())
        for backbone, own in counted.groupby(level=0)
    )
    return f"""# Is pretraining worth its cost, for real models?

Weighted F1 on test texts. Study `worth-real`: at most 600 texts of each part, cut at 128 tokens, one seed (means
over two where LoRA has a second draw of texts); learning
rates by the rule of `adapt` (width), LoRA and full 200 steps of 8 texts, scratch 400; bow and probe on the same texts.
Not every cell has been run yet: {runs}.

    python bench/worth.py        # from the cells that come with the package"""


def _table(places: pd.DataFrame) -> str:
    """The form of the first paper's Table 1: a row a backbone and route, a column a task."""
    tasks = sorted(set(places["task"]))
    lines = ["| backbone | route | " + " | ".join(tasks) + " | mean |", "|---|---|" + "--:|" * (len(tasks) + 1)]
    words = places.groupby("task")["bow"].first()
    lines.append(_row("", "bow", words, tasks))
    for backbone, own in places.groupby("backbone"):
        for route in ("probe", "lora", "full", "scratch"):
            if route in own and own[route].notna().any():
                lines += [_row(str(backbone), route, own.set_index("task")[route], tasks)]
    text = "Percent. The mean is over the tasks of the row: rows with other tasks do not compare.\n\n"
    return "## What the routes reached\n\n" + text + "\n".join(lines)


def _row(backbone: str, route: str, f1: pd.Series, tasks: list[str]) -> str:
    shown = [f"{100 * f1[task]:.1f}" if task in f1 and not np.isnan(f1[task]) else "-" for task in tasks]
    return f"| {backbone} | {route} | " + " | ".join(shown) + f" | {100 * f1.mean():.1f} |"


def _worth(places: pd.DataFrame) -> str:
    """Where the weights pay, and where a bag of words wins."""
    lines = [
        "## Where pretraining pays\n",
        "Points of F1 by which the best of probe, LoRA and (where it was run) training all weights is ahead; the best",
        "is picked on the test texts, which flatters it. *Wins*: by more than a point.\n",
        "| backbone | against | tasks | mean gain | 95 % | wins | within a point | loses | most | least |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    best = places[[name for name in ("probe", "lora", "full") if name in places]].max(axis=1)
    for against in ("bow", "scratch"):
        if against not in places:
            continue
        for backbone, own in places.assign(gain=best - places[against]).groupby("backbone"):
            gain = own.dropna(subset=["gain"]).set_index("task")["gain"]
            if len(gain) < 3:
                continue
            lines.append(
                f"| {backbone} | {against} | {len(gain)} | {_mean(gain.to_numpy())} "
                f"| {(gain > POINT).sum()} | {(gain.abs() <= POINT).sum()} | {(gain < -POINT).sum()} "
                f"| {gain.idxmax()} {100 * gain.max():+.1f} | {gain.idxmin()} {100 * gain.min():+.1f} |"
            )
    common = places.assign(gain=best - places["scratch"]).pivot_table("gain", "task", "backbone").dropna()
    means = ", ".join(f"{name} {100 * mean:.1f}" for name, mean in common.mean().sort_values().items())
    alike = f"Against scratch on the {len(common)} tasks that all have: {means} points."
    return "\n".join([*lines, "", alike, "", *_adds(places)])


def _adds(places: pd.DataFrame) -> list[str]:
    lines = [
        "What LoRA adds to the probe, in points:\n",
        "| backbone | tasks | mean | 95 % | ahead | behind |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for backbone, own in places.dropna(subset=["lora"]).groupby("backbone"):
        gain_N = (own["lora"] - own["probe"]).to_numpy(dtype=float)
        ahead, behind = (gain_N > POINT).sum(), (gain_N < -POINT).sum()
        lines.append(f"| {backbone} | {len(gain_N)} | {_mean(gain_N)} | {ahead} | {behind} |")
    return lines


def _mean(value_N: np.ndarray) -> str:
    """A mean over tasks in points and its 95 % bootstrap interval, as two cells."""
    low, high = clustered(value_N, np.arange(len(value_N)))
    return f"{100 * value_N.mean():.1f} | {100 * low:.1f} to {100 * high:.1f}"


def _gap(places: pd.DataFrame) -> str:
    """Figure 1 of the first paper: LoRA less scratch against the logarithm of the task's tokens."""
    lines = [
        "## The gap to random weights, against the task's tokens\n",
        "LoRA less scratch, mean over backbones, against log10 of the training tokens. *Printed*: the same fit on",
        "the first paper's Table 1, with the tokens of our copies of its tasks, of at most 20,000 training texts.\n",
        "| runs | tasks | points a decade of tokens | R2 | 95 % | p |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    tokens = shipped_calibration().groupby("task")["log_tokens"].max() / np.log(10)
    if "scratch" in places:
        ours = places.assign(gap=places["lora"] - places["scratch"]).groupby("task")["gap"].mean().dropna()
        seen = places.groupby("task")["log_tokens"].mean() / np.log(10)
        lines += _fit("this study", ours, seen)
    wide = published("table1").pivot_table(index=["task", "backbone"], columns="route", values="f1_percent") / 100
    lines += _fit("printed", (wide["lora"] - wide["scratch"]).groupby(level="task").mean(), tokens)
    return "\n".join(lines)


def _fit(name: str, gap: pd.Series, tokens: pd.Series) -> list[str]:
    joined = pd.DataFrame({"x": tokens, "y": 100 * gap}).dropna()
    if len(joined) < 4:
        return []
    fit = line_fit(joined["x"].to_numpy(), joined["y"].to_numpy())
    interval = f"{fit['low']:.2f} to {fit['high']:.2f}"
    return [f"| {name} | {len(joined)} | {fit['slope']:+.1f} | {fit['r2']:.2f} | {interval} | {fit['p']:.3f} |"]


def _cost(cells: pd.DataFrame) -> str:
    machine = named_machine(CARD, PRICE)
    lines = [
        "## What it cost\n",
        f"Medians over tasks. Dollars: training FLOPs at {machine.rate / 1e12:.0f} TFLOP/s of an {CARD} for ${PRICE}",
        "an hour (`decide --hardware`); seconds: one thread of two shared cores, other processes beside it, so that",
        "they rank and do not measure.\n",
        "| backbone | route | training FLOPs | dollars | seconds here |",
        "|---|---|--:|--:|--:|",
    ]
    for (backbone, route), own in cells.groupby(["backbone", "route"]):
        flops, seconds = own["train_flops"].median(), own["seconds"].median()
        money = machine.money(flops / machine.rate)
        lines.append(f"| {backbone} | {route} | {flops:.1e} | {money:.5f} | {seconds:,.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
