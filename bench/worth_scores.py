"""The second paper's claims, and whether anything cheap tells what LoRA adds: parts of worth.py."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tokenworth.decision.predictor_evaluation import clustered
from tokenworth.decision.predictors import Line
from tokenworth.study.correlation import rank_correlation
from tokenworth.study.layer_and_k import Sweep, choose

SCORES = {"ntps": "NTPS, corrected", "ntps_excess": "NTPS beyond chance", "ntps_published": "NTPS, published code"}
LAYER_FIGURES = (
    "ntps", "ntps_excess", "ntps_published", "retained_auc", "k90", "hscore", "logme", "label_r2", "knn_f1",
    "probe_f1",
)  # fmt: skip
CHEAP = (
    "probe_f1", "bow_f1", "majority_f1", "cv_f1", "knn_f1", *SCORES, "retained_auc", "ar_r2", "hscore", "logme",
    "label_r2", "k90_share", "log_tokens", "log_length", "log_classes", "imbalance", "nll", "bits_per_byte",
    "few_f1", "cos_low", "span_nll", "span_gain",
)  # fmt: skip
FEWEST = 6
"""Tasks for a correlation."""


def ntps_claims(places: pd.DataFrame) -> str:
    """NTPS against the probe and against LoRA's gain, within each backbone, layer and k by one rule for all."""
    lines = [
        "## What NTPS says\n",
        "Spearman r over tasks within a backbone, 95 % bootstrap interval over tasks, p of a permutation test. Layer:",
        "the one that cross-validation on training texts chose; k: a quarter of the width. The second paper expects",
        "r > 0 with the probe and r < 0 with what LoRA adds.\n",
        "| score | against | backbone | tasks | r | 95 % | p |",
        "|---|---|---|--:|--:|--:|--:|",
    ]
    outcomes = {"the probe's F1": places["probe"], "LoRA less probe": places["lora"] - places["probe"]}
    for score, words in SCORES.items():
        for against, outcome in outcomes.items():
            for backbone, own in places.assign(y=outcome).dropna(subset=["y", score]).groupby("backbone"):
                if len(own) >= FEWEST:
                    found = rank_correlation(own[score].to_numpy(), own["y"].to_numpy())
                    interval = f"{found['low']:.2f} to {found['high']:.2f}"
                    lines.append(
                        f"| {words} | {against} | {backbone} | {len(own)} | {found['r']:.2f} | {interval} "
                        f"| {found['p']:.3f} |"
                    )
    return "\n".join(lines)


def predicts_gain(places: pd.DataFrame) -> str:
    """Every cheap figure alone, on tasks left out: does it tell what LoRA adds better than the mean gain does?"""
    known = places.dropna(subset=["lora"]).reset_index(drop=True)
    lines = [
        "## Does anything cheap tell what LoRA adds?\n",
        "One line a figure, fitted on the other tasks (all backbones, each with its own mean gain): mean absolute",
        "error in points of F1 on the task left out, less that of the mean gain alone on the same places. Below zero",
        "it helps. What only decoders have is told of these.\n",
        "| figure | places | r with the gain | error | less the mean gain's | 95 % over tasks |",
        "|---|--:|--:|--:|--:|--:|",
        f"| mean gain | {len(known)} | - | {100 * _errors(known, None).mean():.2f} | 0 | - |",
    ]
    figures = [name for name in CHEAP if name in known and known[name].std() > 0]
    found = [_of_figure(known.dropna(subset=[name]).reset_index(drop=True), name) for name in figures]
    return "\n".join([*lines, *(line for _, line in sorted(found))])


def _of_figure(rows: pd.DataFrame, name: str) -> tuple[float, str]:
    """Its error less the mean gain's, and its line."""
    error_N, base_N = _errors(rows, name), _errors(rows, None)
    low, high = clustered(error_N - base_N, rows["task"].to_numpy())
    gain = rows["lora"] - rows["probe"]
    r = np.nanmean([
        rank_correlation(own[name].to_numpy(), gain[own.index].to_numpy())["r"]
        for _, own in rows.groupby("backbone")
        if len(own) >= FEWEST
    ])  # fmt: skip
    difference, error = 100 * (error_N.mean() - base_N.mean()), 100 * error_N.mean()
    interval = f"{100 * low:+.2f} to {100 * high:+.2f}"
    return difference, f"| {name} | {len(rows)} | {r:.2f} | {error:.2f} | {difference:+.2f} | {interval} |"


def _errors(rows: pd.DataFrame, name: str | None) -> np.ndarray:
    """Absolute errors of the gain (N), each task predicted from the others."""
    gain_N = (rows["lora"] - rows["probe"]).to_numpy()
    error_N = np.zeros(len(rows))
    for task in sorted(set(rows["task"])):
        out = rows["task"].to_numpy() == task
        for backbone in sorted(set(rows["backbone"])):
            own = rows["backbone"].to_numpy() == backbone
            if not (own & out).any() or not (own & ~out).any():
                continue
            mean = gain_N[own & ~out].mean()
            move: np.ndarray | float = 0.0
            if name is not None:
                move = _slope(rows, gain_N, name, ~out) * _centred(rows, name, own, out)
            error_N[own & out] = np.abs(gain_N[own & out] - mean - move)
    return error_N


def _slope(rows: pd.DataFrame, gain_N: np.ndarray, name: str, kept: np.ndarray) -> float:
    """One slope for all backbones, from deviations within each."""
    part = rows[kept].assign(gain=gain_N[kept])
    x = part[name] - part.groupby("backbone")[name].transform("mean")
    y = part["gain"] - part.groupby("backbone")["gain"].transform("mean")
    line = Line()
    line.fit(x.to_numpy()[:, None], y.to_numpy())
    return float(line.predict(np.ones((1, 1)))[0] - line.predict(np.zeros((1, 1)))[0])


def _centred(rows: pd.DataFrame, name: str, own: np.ndarray, out: np.ndarray) -> np.ndarray:
    return np.asarray(rows[name][own & out] - rows[name][own & ~out].mean())


def layer_choice(layers: pd.DataFrame, places: pd.DataFrame) -> str:
    """What choosing the layer for each figure, as published, makes of a correlation."""
    lines = [
        "## What choosing the layer is worth\n",
        "The published figures have a layer of their own for each panel. *p*: as if it had been known before; *p,",
        "choosing counted*: against shuffled tasks that may choose as well; *r elsewhere*: chosen on a half of the",
        "tasks, taken on the other, mean of 200 halvings. The sign is that of the claim.\n",
        "| score | figure | backbone | tasks | layer | r | p | p, choosing counted | r elsewhere |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    gains = places.assign(gain=places["lora"] - places["probe"]).set_index(["backbone", "task"])["gain"].dropna()
    for score, words in SCORES.items():
        for figure in ("probe of the layer", "LoRA less probe"):
            for backbone, own in layers.groupby("backbone"):
                sweep = _sweep(own, score, figure, str(backbone), gains)
                if sweep is None:
                    continue
                found = choose(sweep)
                figures = f"{found.r:.2f} | {found.p:.4f} | {found.p_chosen:.3f} | {found.r_elsewhere:.2f}"
                lines.append(f"| {words} | {figure} | {backbone} | {found.tasks} | {found.layer} | {figures} |")
    return "\n".join(lines)


def _sweep(own: pd.DataFrame, score: str, figure: str, backbone: str, gains: pd.Series) -> Sweep | None:
    score_TL, probe_TL = (own.pivot_table(index="task", columns="layer", values=name) for name in (score, "probe_f1"))
    is_gain = figure.startswith("LoRA")
    tasks = [task for task in score_TL.index if not is_gain or (backbone, task) in gains.index]
    if len(tasks) < FEWEST:
        return None
    layers = score_TL.shape[1]
    outcome = (
        np.array([[-gains[backbone, task]] * layers for task in tasks]) if is_gain else probe_TL.loc[tasks].to_numpy()
    )
    return Sweep(figure, backbone, tuple(tasks), (0.25,), score_TL.loc[tasks].to_numpy()[..., None], outcome)
