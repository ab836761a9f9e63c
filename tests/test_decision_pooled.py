"""The pooled line against the mixed-model equations written out, and what its effects and intervals are worth."""

import numpy as np
import pandas as pd
import pytest

from calibrations import planted_cells
from tokenworth.decision.conformal import BOTH, held_out_errors, left_out
from tokenworth.decision.outcomes import log_odds
from tokenworth.decision.pooled_line import Pooled, PooledLine, Variances
from tokenworth.decision.predictors import predictor

VARIANCES = Variances(slope=0.3, task=0.2, backbone=0.4, both=0.1, source=0.05, noise=0.02)


def drawn(tasks=12, backbones=5, runs=2, variances=VARIANCES, seed=0):
    rng = np.random.default_rng(seed)
    rows = [(f"t{t}", f"b{b}") for t in range(tasks) for b in range(backbones) for _ in range(runs)]
    groups = pd.DataFrame(rows, columns=["task", "backbone"]).assign(source=False)
    groups["pair"] = groups["task"] + groups["backbone"]
    x = rng.normal(size=(len(rows), 2))
    y = 0.7 + x @ rng.normal(0, variances.slope**0.5, 2) + rng.normal(0, variances.noise**0.5, len(rows))
    for name, variance in (("task", variances.task), ("backbone", variances.backbone), ("pair", variances.both)):
        effect = {value: rng.normal(0, variance**0.5) for value in sorted(set(groups[name]))}
        y = y + groups[name].map(effect).to_numpy()
    return x, y, groups.drop(columns="pair")


def test_it_is_the_solution_of_the_mixed_model_equations():
    """Henderson's: least squares in all effects at once, each drawn to 0 by noise / variance."""
    x, y, groups = drawn(tasks=5, backbones=3)
    line = PooledLine(VARIANCES)
    line.fit(x, y, groups)
    z = (x - x.mean(0)) / x.std(0)
    both = groups["task"] + groups["backbone"]
    dummies = [pd.get_dummies(column).to_numpy(float) for column in (groups["task"], groups["backbone"], both)]
    ones = np.ones((len(y), 1))
    design = np.hstack([ones, z, *dummies, ones])
    sizes = [(25.0, 1), (VARIANCES.slope, 2), (VARIANCES.task, 5), (VARIANCES.backbone, 3), (VARIANCES.both, 15),
             (VARIANCES.source, 1)]  # fmt: skip
    ridge = np.concatenate([np.full(n, VARIANCES.noise / variance) for variance, n in sizes])
    inverse = np.linalg.inv(design.T @ design + np.diag(ridge))
    effects = inverse @ design.T @ y
    mean, spread = line.predict(x, groups)
    assert mean == pytest.approx(design @ effects, rel=1e-6)
    assert line.slopes() == pytest.approx(effects[1:3], rel=1e-6)
    wanted = VARIANCES.noise * (1 + np.einsum("nf,fg,ng->n", design, inverse, design))
    assert spread == pytest.approx(np.sqrt(wanted), rel=1e-6)
    new = pd.DataFrame({"task": ["?"], "backbone": ["b1"], "source": [False]})
    here = effects[0] + z[:1] @ effects[1:3] + effects[3 + 5 + 1] + effects[-1]
    assert line.predict(x[:1], new)[0] == pytest.approx(here, rel=1e-6)


def test_variances_are_found():
    x, y, groups = drawn(tasks=20, backbones=10, runs=1)
    line = PooledLine()
    line.fit(x, y, groups)
    for name in ("task", "backbone", "both", "noise"):
        assert 0.4 < getattr(line.variances, name) / getattr(VARIANCES, name) < 2.5, name


def test_what_was_never_seen_is_less_sure():
    x, y, groups = drawn()
    line = PooledLine()
    line.fit(x, y, groups)
    asked = pd.DataFrame({"task": ["t1", "?", "?"], "backbone": ["b1", "b1", "?"], "source": False})
    _, spread = line.predict(np.zeros((3, 2)), asked)
    assert spread[0] < spread[1] < spread[2]


def test_unknown_indicators_are_means_and_constant_ones_count_for_nothing():
    x, y, groups = drawn(tasks=8)
    x = np.column_stack([x, np.full(len(y), 3.0), np.full(len(y), np.nan)])
    x[::3, 0] = np.nan
    line = PooledLine(VARIANCES)
    line.fit(x, y, groups)
    known = np.where(np.isnan(x[:, 0]), np.nanmean(x[:, 0]), x[:, 0])
    plain = PooledLine(VARIANCES)
    plain.fit(np.column_stack([(known - known.mean()) / np.nanstd(x[:, 0]), x[:, 1]]), y, groups)
    assert np.isfinite(line.predict(x, groups)[0]).all()
    assert line.slopes()[2:] == pytest.approx([0, 0])


def world(seed):
    """Tasks and backbones with shifts of their own in log odds."""
    rng = np.random.default_rng(seed)
    task = {f"t{i:02d}": rng.normal(0, 0.3) for i in range(14)}
    backbone = {name: rng.normal(0, 0.3) for name in BACKBONES}

    def outcome(row, rng):
        move = task[row["task"]] + backbone[row["backbone"]] + rng.normal(0, 0.1)
        return 1 / (1 + np.exp(-(log_odds(np.array([row["probe_f1"]]))[0] + move)))

    return planted_cells(outcome, backbones=BACKBONES, seed=seed)


BACKBONES = ("a", "b", "c", "d", "e")


def test_both_are_left_out():
    cells = world(0)
    for others, own in left_out(cells, BOTH):
        kept, out = cells.iloc[others], cells.iloc[own]
        assert len(set(out["task"])) == len(set(out["backbone"])) == 1
        assert not set(kept["task"]) & set(out["task"])
        assert not set(kept["backbone"]) & set(out["backbone"])
    alone = cells[cells["backbone"] == "a"].reset_index(drop=True)
    assert len(left_out(alone, BOTH)) == 14, "one backbone: tasks alone"


def test_intervals_hold_for_new_tasks_on_new_backbones():
    """And are narrower for a backbone of which runs are known."""
    inside, widths = [], []
    for seed in range(5):
        cells = world(seed)
        seen = cells[(cells["backbone"] != "e") & (cells["task"] < "t12")].reset_index(drop=True)
        new = cells[(cells["backbone"] == "e") & (cells["task"] >= "t12")].reset_index(drop=True)
        fitted = predictor("partial pooling")
        fitted.fit(seen)
        errors = held_out_errors(fitted.anew, seen)
        for guess, spread, true in zip(fitted.predict(new), fitted.spread(new), new["f1"], strict=True):
            low, high = errors.interval(float(guess), 0.9, float(spread))
            inside.append(low <= true <= high)
        known = new.assign(backbone="a")
        widths.append((fitted.spread(known) / fitted.spread(new)).mean())
    assert np.sum(inside) >= 7, "of 10: fewer once in 78 times at 90 %"
    assert np.mean(widths) < 0.95


def test_a_printed_run_is_of_another_source():
    cells = planted_cells(lambda row, rng: row["probe_f1"], tasks=6)
    printed = cells.assign(version="published", f1=np.clip(cells["f1"] + 0.1, 0, 1), task=cells["task"] + "p")
    fitted = Pooled("partial pooling")
    fitted.fit(pd.concat([cells, printed], ignore_index=True))
    own, theirs = fitted.predict(cells.assign(task="?")), fitted.predict(cells.assign(task="?", version="published"))
    assert (theirs > own).all()


def test_scratch_is_seen_against_words_and_never_asks_the_probe():
    cells = planted_cells(lambda row, rng: row["bow_f1"] * 0.9, routes=("scratch",), tasks=20)
    fitted = Pooled("partial pooling")
    fitted.fit(cells)
    assert "probe_f1" not in fitted.indicators
    assert fitted.predict(cells.assign(probe_f1=0.99)) == pytest.approx(fitted.predict(cells))
    assert np.abs(fitted.predict(cells.assign(task="?")) - cells["f1"]).mean() < 0.05
