"""Scaling laws: known constants come back, gradients are true, plans are optimal, mistakes are named."""

import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import approx_fprime

from commands import tokenworth
from tokenworth.errors import SettingError
from tokenworth.scaling_laws.loss_fit import ScalingFit, _model, fit_scaling, isoflop_minima
from tokenworth.scaling_laws.profile_likelihood import allowed_rise, profile_limits
from tokenworth.scaling_laws.run_table import read_runs, run_numbers
from tokenworth.scaling_laws.training_plan import compute_optimal, inference_optimal, plans

HOFFMANN = {"E": 1.69, "A": 406.4, "alpha": 0.34, "B": 410.7, "beta": 0.28}
KAPLAN = {"N_c": 6.4e13, "alpha_N": 0.076, "D_c": 1.8e13, "alpha_D": 0.103}


def made(form, values, noise=0.0, seed=0, *, sizes=7, counts=6):
    """Runs on a grid of sizes and token counts with the losses of a law."""
    n, d = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e7, 1e10, sizes), np.geomspace(1e9, 3e11, counts)))
    fit = ScalingFit(form, values, {}, {}, 0, 0.0)
    loss = fit.loss(n, d) * np.exp(noise * np.random.default_rng(seed).normal(size=len(n)))
    return pd.DataFrame({"parameters": n, "tokens": d, "loss": loss, "flops": 6 * n * d})


@pytest.mark.parametrize(("form", "values"), [("chinchilla", HOFFMANN), ("kaplan", KAPLAN)])
def test_published_constants_come_back(form, values):
    fit = fit_scaling(made(form, values), form, bootstrap=0)
    assert fit.error < 1e-4
    for name, value in values.items():
        tolerance = 0.15 if name in ("A", "B", "N_c", "D_c") else 0.02
        assert fit.constants[name] == pytest.approx(value, rel=tolerance), name


@pytest.mark.parametrize(
    ("form", "p"), [("chinchilla", [0.5, 6.0, 0.34, 6.0, 0.28]), ("kaplan", [30.0, 0.08, 30.0, 0.1])]
)
def test_gradients_are_true(form, p):
    n, d = np.array([16.0, 20.0]), np.array([21.0, 24.0])
    slow = approx_fprime(np.array(p), lambda q: _model(form, q, n, d)[0], 1e-7)
    assert pytest.approx(slow, rel=1e-4, abs=1e-5) == _model(form, np.array(p), n, d)[1].T


def test_the_interval_holds_the_truth_under_noise():
    fit = fit_scaling(made("chinchilla", HOFFMANN, noise=0.003), bootstrap=60)
    for name in ("alpha", "beta", "E"):
        assert fit.low[name] <= HOFFMANN[name] <= fit.high[name], name
        assert fit.low[name] < fit.constants[name] < fit.high[name]
    assert not [note for note in fit.notes if "not identified" in note]
    assert np.isfinite(list(fit.high.values())).all()
    assert min(fit.low.values()) > 0


@pytest.mark.parametrize(("noise", "seed"), [(0.0, 0), (0.003, 1)])
def test_two_token_counts_cannot_tell_the_floor_from_the_power_law(noise, seed):
    """E + B / D^beta takes two values there, and three constants give them: E is anything from 0 to above the truth.
    Bootstrap samples begun at the fit all stayed at its E (3.4353 to 3.4353 in a public report, truth 1.7)."""
    fit = fit_scaling(made("chinchilla", HOFFMANN, noise, seed, counts=2), bootstrap=20)
    assert fit.low["E"] == 0
    for name, value in HOFFMANN.items():
        assert fit.low[name] <= value <= fit.high[name], name
    assert fit.high["beta"] > 2 * fit.low["beta"]
    assert any("E is not identified by these 14 runs (7 sizes and 2 token counts)" in note for note in fit.notes)
    assert fit.high["alpha"] - fit.low["alpha"] < 0.1, "seven sizes tell alpha"


def test_a_profile_of_squared_errors_is_the_t_interval():
    """Of a straight line the profile is a parabola: slope -+ t s / sqrt(Sxx), from the textbook."""
    rng = np.random.default_rng(3)
    x, y = np.arange(9.0), 0.3 * np.arange(9.0) + rng.normal(size=9)

    def residuals(p):
        return p[0] + p[1] * x - y, np.stack([np.ones(9), x], 1)

    slope, base = np.polyfit(x, y, 1)
    off = base + slope * x - y
    error = np.sqrt(off @ off / 7 / ((x - x.mean()) ** 2).sum())
    rise = allowed_rise(off, 1e9, 2)
    settings = {"huber": 1e9, "rise": rise, "step": 0.01}
    found = profile_limits(residuals, np.array([base, slope]), 1, bounds=(-9.0, 9.0), **settings)
    expected = slope + np.array([-1, 1]) * stats.t.ppf(0.975, 7) * error
    np.testing.assert_allclose(found, expected, atol=0.01 * error + 1e-3)
    twice = profile_limits(  # the sum of two intercepts is told, neither of them is
        lambda p: (p[0] + p[2] + p[1] * x - y, np.stack([np.ones(9), x, np.ones(9)], 1)),
        np.array([base, slope, 0.0]), 0, bounds=(-90.0, 90.0), **settings,
    )  # fmt: skip
    assert twice == (-np.inf, np.inf)


@pytest.mark.parametrize("kind", [str, Decimal])
def test_numbers_of_any_type_are_read(kind, tmp_path):
    """Decimal columns come out of databases and Parquet; their product with a float was a traceback."""
    plain = made("chinchilla", HOFFMANN).drop(columns="flops")
    table = pd.DataFrame({name: [kind(repr(float(value))) for value in plain[name]] for name in plain})
    read = run_numbers(table, "runs")
    pd.testing.assert_frame_equal(read.drop(columns="flops"), plain)
    assert read["flops"].tolist() == (6 * plain["parameters"] * plain["tokens"]).tolist()
    table["loss"] = [round(Decimal(value), 6) for value in plain["loss"]]
    table.to_parquet(tmp_path / "runs.parquet")
    np.testing.assert_allclose(read_runs(tmp_path / "runs.parquet")["loss"], plain["loss"], atol=1e-6)
    rounded = plain.assign(loss=plain["loss"].round(6))
    assert (
        fit_scaling(table, "isoflop", bootstrap=0).constants == fit_scaling(rounded, "isoflop", bootstrap=0).constants
    )


def test_parabolas_find_the_optimum_of_every_budget():
    fit = ScalingFit("chinchilla", HOFFMANN, {}, {}, 0, 0.0)
    rows = []
    for flops in (1e18, 1e19, 1e20):
        best = compute_optimal(fit, flops)
        for factor in (0.5, 0.7, 1.0, 1.4, 2.0):
            n = best * factor
            tokens = flops / 6 / n
            rows.append({"parameters": n, "tokens": tokens, "loss": float(fit.loss(n, tokens)), "flops": flops})
    runs = pd.DataFrame(rows)
    minima = isoflop_minima(runs)
    wanted = [compute_optimal(fit, flops) for flops in (1e18, 1e19, 1e20)]
    assert minima["parameters"].to_numpy() == pytest.approx(wanted, rel=0.02)
    line = fit_scaling(runs, "isoflop", bootstrap=0)
    assert line.constants["a"] == pytest.approx(0.28 / 0.62, rel=0.01)
    assert compute_optimal(line, 1e21) == pytest.approx(compute_optimal(fit, 1e21), rel=0.05)


def test_the_closed_form_is_the_optimum():
    fit = ScalingFit("chinchilla", HOFFMANN, {}, {}, 0, 0.0)
    best = compute_optimal(fit, 1e21)
    assert best == pytest.approx(inference_optimal(fit, 1e21, 0.0), rel=1e-3)
    assert all(fit.loss(best, 1e21 / 6 / best) <= fit.loss(best * f, 1e21 / 6 / (best * f)) for f in (0.9, 1.1))


def test_what_is_served_makes_models_smaller():
    fit = ScalingFit("chinchilla", HOFFMANN, {}, {}, 0, 0.0)
    alone, thumb, serving = plans(fit, 1e21, served=1e12)
    assert serving.parameters < alone.parameters
    assert serving.tokens_per_parameter > alone.tokens_per_parameter
    assert serving.train_flops + serving.serve_flops == pytest.approx(1e21)
    assert thumb.tokens_per_parameter == pytest.approx(20)
    assert alone.loss <= thumb.loss
    spent = [6 * n * d + 2 * n * 1e12 for n, d in [(serving.parameters, serving.tokens)]]
    assert spent == pytest.approx([1e21])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("parameters,tokens\n1,2\n", "has no column loss; it has parameters, tokens"),
        ("parameters,tokens,loss\n1,2,3\n1,-2,3\n", "row 2: tokens must be above 0, not -2"),
        ("parameters,tokens,loss\n1,2,many\n", "row 1: loss must be above 0, not many"),
        ("parameters,tokens,loss\n1,2,inf\n", "row 1: loss must be above 0, not inf"),
        ("parameters,tokens,loss\n1,2,\n", "row 1: loss must be above 0, not empty"),
        ("parameters,tokens,loss,flops\n1,2,3,x\n", "row 1: flops must be above 0, not x"),
    ],
)
def test_mistakes_in_a_table_of_runs(tmp_path, text, message):
    (tmp_path / "runs.csv").write_text(text)
    with pytest.raises(SettingError, match=message):
        read_runs(tmp_path / "runs.csv")


def test_too_few_runs_and_unknown_forms():
    with pytest.raises(SettingError, match="4 runs are too few for the form chinchilla"):
        fit_scaling(made("chinchilla", HOFFMANN).head(4))
    with pytest.raises(SettingError, match="choose from chinchilla, kaplan, isoflop"):
        fit_scaling(made("chinchilla", HOFFMANN), "cubic")
    with pytest.raises(SettingError, match="several sizes at equal FLOPs"):
        fit_scaling(
            made("chinchilla", HOFFMANN).assign(flops=lambda t: t["tokens"] * 1e9).query("parameters < 2e7"), "isoflop"
        )


def test_the_command_line(tmp_path):
    made("chinchilla", HOFFMANN).drop(columns="flops").to_csv(tmp_path / "runs.csv", index=False)
    done = tokenworth("scaling", "fit", "runs.csv", "--bootstrap", 0, "--out", "fit", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "alpha" in done.out
    stored = json.loads((tmp_path / "fit" / "fit.json").read_text())
    assert stored["constants"]["beta"] == pytest.approx(0.28, rel=0.02)
    done = tokenworth("scaling", "plan", "fit", "--flops", 1e21, "--served", 1e12, "--json", cwd=tmp_path)
    assert [row["name"] for row in json.loads(done.out)] == [
        "compute-optimal",
        "20 tokens a parameter",
        "training and serving",
    ]
    assert tokenworth("scaling", "plan", "nowhere", "--flops", 1e21, cwd=tmp_path).code == 2


def test_runs_are_read_from_any_table_a_task_could_come_from(tmp_path):
    """Decimals in Parquet ended in a traceback, semicolons in a sentence about missing columns."""
    rows = [{"parameters": Decimal("1e6") * i, "tokens": 20 * i, "loss": Decimal("3.5")} for i in (1, 2)]
    pd.DataFrame(rows).to_parquet(tmp_path / "a.parquet")
    lines = [";".join(map(str, row.values())) for row in rows]
    (tmp_path / "b.csv").write_text("\n".join(["parameters;tokens;loss", *lines]))
    for name in ("a.parquet", "b.csv"):
        table = read_runs(tmp_path / name)
        assert table["parameters"].tolist() == [1e6, 2e6]
        assert table["flops"].tolist() == [1.2e8, 4.8e8]
    (tmp_path / "b.csv").write_text("parameters,tokens,loss\n1,2,3\n1,inf,3\n")
    with pytest.raises(SettingError, match="row 2: tokens must be above 0, not inf"):
        read_runs(tmp_path / "b.csv")
