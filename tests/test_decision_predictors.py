"""Predictors, conformal intervals and their evaluation, against planted rules and slow truths."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from calibrations import planted_cells
from tokenworth.decision.calibration import (
    full_length,
    published_cells,
    read_calibration,
    shipped_calibration,
    with_runs_of,
)
from tokenworth.decision.conformal import Errors, held_out_errors, held_out_predictions
from tokenworth.decision.decision_metric import under
from tokenworth.decision.outcomes import log_odds
from tokenworth.decision.pilot import Piloted, narrowing_of, pilot_pairs
from tokenworth.decision.predictor_evaluation import (
    HINDSIGHT,
    chance_table,
    clustered,
    coverage,
    gain_spearman,
    held_out_intervals,
    predictor_row,
    regret_table,
    seed_noise,
    task_mean,
)
from tokenworth.decision.predictors import Gain, Line, LogOdds, predictor, predictors
from tokenworth.errors import SettingError


def test_a_constant_gain_is_found():
    cells = planted_cells(lambda row, rng: 0.9 * 0 + row["probe_f1"] + 0.03)
    cells = cells[cells["probe_f1"] < 0.9].reset_index(drop=True)
    errors = held_out_errors(lambda: Gain("mean gain"), cells)
    assert errors.mean_absolute() == pytest.approx(0, abs=1e-12)


def test_a_line_in_log_odds_is_found_and_explained():
    def outcome(row, rng):
        return 1 / (1 + np.exp(-(log_odds(np.array([row["probe_f1"]]))[0] + 0.5 * row["log_texts"] + 0.2)))

    cells = planted_cells(outcome, tasks=60)
    line = LogOdds("line", ("probe_f1", "log_texts"), penalty=1e-6)
    line.fit(cells)
    assert np.abs(line.predict(cells) - cells["f1"]).max() < 1e-3
    slopes = line.slopes()
    assert slopes["log_texts"] == pytest.approx(0.5 * cells["log_texts"].std(ddof=0), rel=1e-2)
    assert abs(slopes["probe_f1"]) < 1e-2


def test_ridge_weighs_tasks_and_not_cells():
    """The slow truth: normal equations written out, weights 1 / cells of the task."""
    cells = planted_cells(lambda row, rng: row["probe_f1"] * rng.uniform(0.8, 1.0), tasks=12)
    cells = pd.concat([cells, cells[cells["task"] == "t03"]] * 2, ignore_index=True)
    line = LogOdds("line", ("probe_f1", "bow_f1"), penalty=3.0)
    line.fit(cells)
    x = np.column_stack([log_odds(cells[name].to_numpy()) for name in ("probe_f1", "bow_f1")])
    z = (x - x.mean(0)) / x.std(0)
    y = log_odds(cells["f1"].to_numpy()) - log_odds(cells["probe_f1"].to_numpy())
    weight = np.array([1 / (cells["task"] == task).sum() for task in cells["task"]])
    middle, mean = (weight @ z) / weight.sum(), (weight @ y) / weight.sum()
    gram = sum(w * np.outer(row - middle, row - middle) for w, row in zip(weight, z, strict=True))
    moment = sum(w * (row - middle) * (value - mean) for w, row, value in zip(weight, z, y, strict=True))
    slopes = np.linalg.solve(gram + 3.0 * np.eye(2), moment)
    assert list(line.slopes().values()) == pytest.approx(list(slopes), rel=1e-6)


@pytest.mark.parametrize("penalty", [0.0, 2.5])
def test_a_line_is_that_of_scikit_learn(penalty):
    rng = np.random.default_rng(3)
    x, y, weight = rng.normal(5, [1, 2, 0.1, 0], (40, 4)), rng.normal(size=40), rng.uniform(0.5, 2, 40)
    x[::3, 1], x[:, 2] = np.nan, np.nan
    line = Line(penalty)
    line.fit(x, y, weight)
    theirs = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), Ridge(penalty, solver="svd"))
    theirs.fit(x, y, ridge__sample_weight=weight)
    assert line.predict(x) == pytest.approx(theirs.predict(x), rel=1e-9)
    assert line.slope_F == pytest.approx(theirs[-1].coef_, rel=1e-9, abs=1e-12)


def test_scratch_knows_nothing_of_the_pretrained_probe():
    cells = planted_cells(lambda row, rng: row["bow_f1"] * 0.9, routes=("scratch", "lora"), tasks=20)
    asks = {}
    for route in ("scratch", "lora"):
        fitted, own = predictor(), cells[cells["route"] == route].reset_index(drop=True)
        fitted.fit(own)
        asks[route] = np.abs(fitted.predict(own.assign(probe_f1=0.9)) - fitted.predict(own)).max()
    assert asks["scratch"] == 0
    assert asks["lora"] > 0.01


def test_no_task_is_predicted_from_itself():
    cells = planted_cells(lambda row, rng: 0.5)
    cells.loc[cells["task"] == "t05", "f1"] = 0.9
    found = held_out_predictions(lambda: Gain("mean gain"), cells)
    others = cells[cells["task"] != "t05"]
    own = (cells["task"] == "t05").to_numpy()
    wanted = cells["probe_f1"][own] + (others["f1"] - others["probe_f1"]).mean()
    assert found[own] == pytest.approx(np.clip(wanted, 0, 1))


def test_every_predictor_survives_missing_indicators():
    cells = planted_cells(lambda row, rng: row["probe_f1"])
    cells["ntps_published"] = np.nan
    cells.loc[::2, "ntps"] = np.nan
    for one in predictors():
        assert np.isfinite(held_out_predictions(lambda name=one.name: predictor(name), cells)).all(), one.name


def test_half_width_is_the_weighted_quantile():
    rng = np.random.default_rng(0)
    group = np.array([f"g{i % 11}" for i in range(40)])
    errors = Errors(rng.uniform(0.2, 0.9, 40), rng.uniform(0.2, 0.9, 40), group)
    size = sorted(zip(np.abs(errors.error_N), group, strict=True))
    reached, slow = 0.0, None
    for value, name in size:
        reached += 1 / (group == name).sum() / 11
        if reached >= 0.8 * 12 / 11 - 1e-9:
            slow = value
            break
    assert errors.half_width(0.8) == slow
    low, high = errors.interval(0.5, 0.8)
    assert log_odds(np.array([high]))[0] == pytest.approx(slow, rel=1e-6)
    assert low == pytest.approx(1 - high)


def test_too_few_tasks_promise_nothing():
    errors = Errors(np.full(8, 0.5), np.full(8, 0.6), np.arange(8).astype(str))
    assert errors.half_width(0.9) == float("inf")
    assert errors.interval(0.5, 0.9) == (0.0, 1.0)


def test_intervals_cover_what_they_promise():
    """Many worlds of exchangeable tasks with errors of their own; cells of a task share theirs."""
    inside = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        shift = {f"t{i:02d}": rng.normal(0, 0.5) for i in range(14)}

        def outcome(row, _, shift=shift):
            return 1 / (1 + np.exp(-(log_odds(np.array([row["probe_f1"]]))[0] + shift[row["task"]])))

        inside.append(
            coverage(held_out_intervals("mean gain", planted_cells(outcome, seed=seed), by="task"))["coverage"]
        )
    assert 0.86 <= np.mean(inside) <= 0.99


def test_the_figures_of_a_predictor():
    cells = planted_cells(lambda row, rng: row["probe_f1"] * 0.8 + 0.2 * row["bow_f1"], tasks=20, seeds=(0, 1))
    row = predictor_row("probe and words", cells)
    assert row["error"] < 0.03
    assert row["spearman"] > 0.8
    assert row["error_low"] <= row["error"] <= row["error_high"]
    assert np.isnan(predictor_row("mean gain", cells)["spearman"]), "a constant ranks nothing"
    assert predictor_row("probe and words", cells, by="backbone")["error"] < 0.03
    assert seed_noise(cells) == pytest.approx(0, abs=1e-12)
    assert gain_spearman(cells.assign(predicted=cells["f1"])) == pytest.approx(1)


def test_clustered_draws_groups_whole():
    low, high = clustered(np.array([0.0, 0.0, 1.0, 1.0]), np.array(["a", "a", "b", "b"]))
    assert (low, high) == (0.0, 1.0)


def test_regret_of_rules_in_a_world_where_lora_always_wins():
    cells = planted_cells(
        lambda row, rng: max(row["probe_f1"], row["bow_f1"]) * 0.9 + 0.1, routes=("lora", "scratch"), tasks=12
    )
    cells.loc[cells["route"] == "scratch", "f1"] -= 0.1
    table = regret_table(cells, "probe and words", tolerance=0.0)
    means = table.groupby("rule")["alone"].mean()
    assert means["always lora"] == pytest.approx(0, abs=1e-12)
    assert means["always bow"] > 0.05
    assert means["always scratch"] == pytest.approx(0.1, abs=1e-9)
    best = cells[cells["route"] == "lora"].set_index(["task", "backbone"])
    kept = table[table["rule"] == "always scratch"].set_index(["task", "backbone"])["regret"]
    measured = best[["bow_f1", "probe_f1"]].max(axis=1)
    lost = best["f1"] - np.maximum(measured, best["f1"] - 0.1)
    assert kept.sort_index().to_numpy() == pytest.approx(lost.sort_index().to_numpy()), "bow or probe was kept"
    best_of_all = table[table["rule"] == HINDSIGHT]
    assert (best_of_all["route"] == "lora").all()
    assert best_of_all["regret"].to_numpy() == pytest.approx(0, abs=1e-12)
    assert (table["regret"] >= -1e-12).all()
    assert (table["regret"] <= table["alone"] + 1e-12).all()
    assert table[table["rule"] == "always bow"]["spent"].max() == 0


def test_routes_are_wrong_together():
    """Outcomes are drawn task by task: what is drawn for two routes differs as it did on that task."""
    task_N, rng = np.array(["a", "a", "b", "c"]), np.random.default_rng(0)
    true = Errors(np.array([0.5, 0.5, 0.6, 0.7]), np.full(4, 0.5), task_N)
    lower = Errors(np.array([0.4, 0.4, 0.5, 0.6]), np.full(4, 0.4), task_N)
    task_S = rng.choice(["a", "b", "c", "d"], 400)
    drawn = true.draw(0.5, task_S, rng)
    for task, outcome in (("a", 0.5), ("b", 0.6), ("c", 0.7)):
        assert drawn[task_S == task] == pytest.approx(outcome)
    assert set(drawn[task_S == "d"].round(6)) == {0.5, 0.6, 0.7}, "an unknown task has the error of any"
    known_S = task_S[task_S != "d"]
    assert (true.draw(0.5, known_S, rng) > lower.draw(0.45, known_S, rng)).all(), "the better one is so on every task"


def test_chances_are_stated_and_held_against_what_was_so():
    cells = planted_cells(
        lambda row, rng: max(row["probe_f1"], row["bow_f1"]) * 0.9 + 0.1, routes=("lora", "scratch"), tasks=12
    )
    cells.loc[cells["route"] == "scratch", "f1"] -= 0.1
    table = chance_table(cells, "probe and words", tolerance=0.0)
    best = table[table["statement"] == "best"]
    assert best.groupby(["task", "backbone"])["chance"].sum().to_numpy() == pytest.approx(1)
    assert best.groupby(["task", "backbone"])["true"].sum().eq(1).all()
    assert best[best["true"]]["chance"].mean() > best[~best["true"]]["chance"].mean()
    better = table[table["statement"] == "better"]
    assert len(better) == len(best) / 4
    assert better["chance"].between(0, 1).all()


def test_pilots_are_paired_and_learned_from():
    def outcome(row, rng):
        return row["probe_f1"] * (0.7 if row["steps"] == 125 else 0.9)

    cells = planted_cells(outcome, steps=(125, 1000))
    pairs = pilot_pairs(cells, "lora", 1 / 8)
    assert len(pairs) == 28
    assert (pairs["pilot_f1"] / pairs["f1"]).to_numpy() == pytest.approx(0.7 / 0.9)
    assert Piloted(cells, "lora", 1 / 8).errors.mean_absolute() < 0.02
    assert set(full_length(cells)["steps"]) == {1000}
    with pytest.raises(SettingError, match=r"no runs of 0\.25 of the steps for the route lora"):
        Piloted(cells, "lora", 1 / 4)


def test_a_pilot_counts_beside_the_run_of_its_own_seed():
    """Another seed may have drawn other texts."""
    cells = planted_cells(lambda row, rng: row["probe_f1"] * 0.9, steps=(125, 1000))
    again = cells[cells["steps"] == 1000].assign(seed=cells["seed"].max() + 1, f1=0.1)
    pairs = pilot_pairs(pd.concat([cells, again], ignore_index=True), "lora", 1 / 8)
    pd.testing.assert_frame_equal(pairs, pilot_pairs(cells, "lora", 1 / 8))


@pytest.mark.parametrize("seeds", [1, 5])
def test_tasks_weigh_the_same_however_many_seeds_they_have(seeds):
    cells = pd.DataFrame({"task": ["one"] * seeds + ["two"]})
    assert task_mean(np.array([1.0] * seeds + [0.0]), cells) == 0.5


def test_what_a_pilot_is_worth_is_how_much_it_narrows_the_interval():
    """One that says all, one that says nothing, and one of which too little is known."""

    def outcome(row, rng, tells):
        hidden = np.random.default_rng([int(row["task"][1:]), row["backbone"] == "one"]).uniform(-0.15, 0.15)
        middle = 0.25 + row["probe_f1"] / 2
        if row["steps"] == 1000:
            return middle + hidden
        return 0.8 * (middle + (hidden if tells else rng.uniform(-0.15, 0.15)))

    steps = (125, 250, 1000)
    known = [narrowing_of(planted_cells(partial(outcome, tells=tells), steps=steps), "lora") for tells in (True, False)]
    assert all(share < 0.7 for share in known[0].shares.values())
    assert all(share > 0.9 for share in known[1].shares.values())
    assert known[0].runs == 28
    few = planted_cells(partial(outcome, tells=True), tasks=8, steps=steps)
    assert narrowing_of(few, "lora") is None, "an interval at 90 % needs nine tasks"
    assert narrowing_of(few, "full") is None


def test_the_cells_that_come_with_the_package(tmp_path):
    cells = shipped_calibration()
    assert {"lora", "scratch", "full"} <= set(cells["route"])
    assert cells["f1"].between(0, 1).all()
    assert cells.notna()[["probe_f1", "bow_f1", "log_texts", "steps", "train_flops"]].all().all()
    cells.drop(columns="hscore").to_csv(tmp_path / "cells.csv", index=False)
    with pytest.raises(SettingError, match="has no column hscore"):
        read_calibration(tmp_path / "cells.csv")


def test_a_run_measured_anew_counts_once():
    cells = shipped_calibration()
    anew = cells.iloc[:3].assign(f1=0.5, log_rate=cells["log_rate"][:3] + 4e-7)
    other = cells.iloc[3:4].assign(seed=99)
    found = with_runs_of(pd.concat([anew, other]), cells)
    assert len(found) == len(cells) + 1
    assert list(found["f1"][:3]) == [0.5] * 3
    assert found["f1"][4:].to_numpy() == pytest.approx(cells["f1"][3:].to_numpy())


def test_cells_by_another_metric():
    cells = shipped_calibration().assign(accuracy=0.5, probe_accuracy=0.25, bow_accuracy=0.1, majority_accuracy=0.2)
    cells.loc[0, "accuracy"] = float("nan")
    moved = under(cells, "accuracy")
    assert len(moved) == len(cells) - 1
    assert set(moved["f1"]) == {0.5}
    assert set(moved["probe_f1"]) == {0.25}
    assert set(moved["majority_f1"]) == {0.2}
    assert under(cells, "weighted_f1") is cells
    assert list(under(published_cells(), "accuracy")["f1"]) == list(published_cells()["f1"])


def test_the_published_runs_can_be_learned_from():
    cells = published_cells()
    assert len(cells) == 96
    assert cells.groupby("backbone").size().eq(12).all()
    assert np.isfinite(held_out_predictions(predictor, cells)).all()
    assert cells["log_parameters"].max() == pytest.approx(np.log(8.03e9), abs=0.1)
