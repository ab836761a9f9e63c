"""score_layer and the jackknife: the shared, fast path gives the values of the public functions, one by one."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import stats

import slow_truth as slow
from tokenworth.scores import (
    PooledMoments,
    ar_r2,
    first_reaching,
    hscore,
    jackknife,
    log2_area,
    logme,
    ntps,
    ntps_curve,
    retained,
)
from tokenworth.scores.frame import frame
from tokenworth.scores.layer import score_layer

# One path whitens all texts and corrects by a Cholesky factor near the identity, the other starts over: 1e-8 apart.
SAME = 1e-8
GROUPS = 6


def setting(seed=61, n_groups=GROUPS, n_shuffles=4, **settings):
    """Context, groups, shuffles and the moments of all texts."""
    sample = slow.make_sample(seed, **{"n": 180, "dim": 12, "signal": 1.0, **settings})
    groups = [slow.pooled_of(sample, np.arange(group, len(sample.z), n_groups)) for group in range(n_groups)]
    rng = np.random.default_rng(seed)
    shuffled = [slow.pooled_of(sample, labels=rng.permutation(sample.labels)) for _ in range(n_shuffles)]
    return sample, slow.context_of(sample), groups, shuffled, slow.pooled_of(sample)


def quarter(function):
    return lambda context, pooled: float(function(context, pooled)[pooled.dim // 4 - 1])


def statistics(context):
    """Every score of a layer through the public functions."""
    return {
        "hscore": hscore,
        "logme": logme,
        "ntps": lambda pooled: ntps(context, pooled),
        "ntps_auc": lambda pooled: log2_area(ntps_curve(context, pooled)),
        "retained_raw_auc": lambda pooled: log2_area(retained(context, pooled, adjusted=False)),
        "retained_auc": lambda pooled: log2_area(retained(context, pooled)),
    }


def bound(name, end):
    """An end of the jackknife interval; an overlap's is cut at 0 and 1."""
    return min(max(float(end), 0.0), 1.0) if name.startswith("ntps") else float(end)


@pytest.mark.parametrize("settings", [{}, {"n_classes": 2, "dim": 9}, {"n_classes": 5, "dim": 8, "mean": 1000.0}])
def test_values_intervals_and_levels_are_those_of_the_public_functions(settings):
    _, context, groups, shuffled, total = setting(**settings)
    values = score_layer(context, groups, shuffled).values
    for name, statistic in statistics(context).items():
        expected = jackknife(groups, statistic)
        assert values[name].value == pytest.approx(float(expected.estimate), abs=SAME), name
        assert values[name].value == pytest.approx(statistic(total), abs=SAME), name
        assert values[name].low == pytest.approx(bound(name, expected.low), abs=10 * SAME), name
        assert values[name].high == pytest.approx(bound(name, expected.high), abs=10 * SAME), name
        if name != "retained_auc":  # adjusted curves of shuffled labels are nothing over nothing
            level = np.mean([statistic(labels) for labels in shuffled])
            assert values[name].chance == pytest.approx(level, abs=SAME), name
    assert values["retained_auc"].chance == pytest.approx(
        log2_area(torch.arange(1, total.dim + 1) / total.dim), abs=1e-6
    )
    assert values["ar_r2"].value == pytest.approx(ar_r2(context), abs=1e-12)
    excess, score = values["ntps_excess"], values["ntps"]
    assert excess.value == pytest.approx(score.value - score.chance)
    assert (excess.low, excess.high) == pytest.approx((score.low - score.chance, score.high - score.chance))


def test_curves_and_k90_are_those_of_the_public_functions():
    _, context, groups, shuffled, total = setting()
    scores = score_layer(context, groups, shuffled)
    raw, adjusted = retained(context, total, adjusted=False), retained(context, total)
    band = jackknife(groups, lambda pooled: retained(context, pooled))
    level = np.mean([ntps_curve(context, labels).numpy() for labels in shuffled], 0)
    expected = {
        "retained_raw": raw,
        "retained": adjusted,
        "retained_low": band.low,
        "retained_high": band.high,
        "ntps": ntps_curve(context, total),
        "ntps_chance": level,
        "chance": np.arange(1, 13) / 12,
        "ar_r2": [ar_r2(context, k) for k in range(1, 13)],
    }
    for name, curve in expected.items():
        np.testing.assert_allclose(scores.curves[name], curve, rtol=0, atol=10 * SAME, err_msg=name)
    k90 = scores.values["k90"]
    assert k90.value == first_reaching(adjusted, 0.9)
    assert (k90.low, k90.high) == (first_reaching(band.high, 0.9), first_reaching(band.low, 0.9))
    assert scores.reasons == {}


def test_spectra_are_shares():
    sample, context, groups, _, _ = setting()
    scores = score_layer(context, groups)
    variances = np.linalg.svd(sample.z - sample.z.mean(0), compute_uv=False) ** 2
    np.testing.assert_allclose(scores.spectra["pooled"], variances / variances.sum(), rtol=1e-8)
    np.testing.assert_allclose(scores.spectra["context"].cumsum(0)[-1], slow.ar_r2(sample.texts, 12), rtol=1e-5)


def test_label_r2_is_the_adjusted_share_explained():
    """Ezekiel's adjusted R2 of the linear read-out, an intercept and 12 directions on 180 texts."""
    sample, context, groups, shuffled, _ = setting()
    y = slow.one_hot(sample.labels, 3)
    zc, yc = slow.centred(sample.z, y)
    residual = ((yc - zc @ np.linalg.lstsq(zc, yc, rcond=None)[0]) ** 2).sum()
    # the spec's adjustment takes d s out of c_d and leaves tr Syy whole: 1 - (1 - R2)(N - 1)/(N - d - 1), but for
    # the factor that makes Syy unbiased
    noise = residual / 180 / (180 - 12 - 1)
    expected = ((yc**2).sum() / 180 - residual / 180 - 12 * noise) / ((yc**2).sum() / 180)
    value = score_layer(context, groups, shuffled).values["label_r2"]
    assert value.value == pytest.approx(expected, abs=SAME)
    assert abs(value.chance) < 0.1


def test_conventions_are_ntps_of_that_name():
    _, context, groups, shuffled, total = setting(n_classes=14, dim=12, n=400)
    _, context2, groups2, shuffled2, total2 = setting()
    assert not {"ntps_weighted", "ntps_published"} & set(score_layer(context, groups).values)
    for name, convention, args in (
        ("ntps_published", "published-code", (context, groups, shuffled, total)),  # as many classes as directions
        ("ntps_weighted", "weighted", (context2, groups2, shuffled2, total2)),
    ):
        value = score_layer(*args[:3], conventions=True).values[name]
        assert value.value == pytest.approx(ntps(args[0], args[3], convention=convention), abs=SAME)
        level = np.mean([ntps(args[0], labels, convention=convention) for labels in args[2]])
        assert value.chance == pytest.approx(level, abs=1e-6)
        assert np.isnan([value.low, value.high]).all()


def test_a_class_that_stands_in_one_group_only():
    """Left out, it takes its label direction along; the replicate is the score of the classes that are left."""
    sample, context, _, _, _ = setting(n_classes=2)
    labels = sample.labels.copy()
    labels[:: 2 * GROUPS] = 2
    wider = slow.Sample(sample.texts, sample.z, labels, 3)
    groups = [slow.pooled_of(wider, np.arange(group, 180, GROUPS)) for group in range(GROUPS)]
    values = score_layer(context, groups).values
    for name, statistic in statistics(context).items():
        expected = jackknife(groups, statistic)
        assert values[name].value == pytest.approx(float(expected.estimate), abs=SAME), name
        assert values[name].low == pytest.approx(bound(name, expected.low), abs=10 * SAME), name


def singular():
    sample = slow.make_sample(66, n=180, dim=10, signal=1.0)
    for text in sample.texts:
        text[:, 3] = text[:, 0]
    sample = slow.Sample(sample.texts, np.stack([t.mean(0) for t in sample.texts]), sample.labels, 3)
    return sample, slow.context_of(sample), [slow.pooled_of(sample, np.arange(g, 180, 6)) for g in range(6)]


def test_singular_moments_fall_back_to_ridge():
    """Values as the public functions; each replicate is the ridge read-out at the penalty and scale of all texts."""
    sample, context, groups = singular()
    scores, total = score_layer(context, groups), slow.pooled_of(sample)
    assert "those of a ridge read-out" in scores.reasons["ntps_ridge"]
    assert scores.values["ntps"].value == pytest.approx(ntps(context, total), abs=SAME)
    np.testing.assert_allclose(scores.curves["retained"], retained(context, total), rtol=0, atol=1e-6)
    fixed = frame(context, total)
    y, scale = slow.one_hot(sample.labels, 3), slow.unit_columns(sample.z - sample.z.mean(0))
    replicates = []
    for group in range(6):
        rows = np.arange(180) % 6 != group
        weights = slow.ridge_weights(sample.z[rows], y[rows], fixed.labels.penalty, scale=scale)
        q = np.linalg.svd(weights, full_matrices=False)[0][:, :2]
        replicates.append(slow.overlap(fixed.encoder_basis_DD.numpy(), 2, q))
    error = np.sqrt(5 / 6 * ((replicates - np.mean(replicates)) ** 2).sum())
    width = scores.values["ntps"].high - scores.values["ntps"].value
    assert width == pytest.approx(stats.t.ppf(0.975, 5) * error, rel=1e-4)


def test_few_pairs_leave_directions_without_an_order():
    """Ten pairs order ten directions; the others complete the space in no order, on every path alike."""
    _, _, groups, shuffled, total = setting(dim=16, signal=1.5)
    context = slow.context_of(slow.make_sample(67, n=10, dim=16, lengths=(2, 3)))
    assert context.n_pairs == 10
    raw = retained(context, total, adjusted=False)
    steps = raw.diff()[10:]
    np.testing.assert_allclose(steps, steps.mean(), rtol=1e-6)
    scores = score_layer(context, groups, shuffled)
    np.testing.assert_allclose(scores.curves["retained_raw"], raw, rtol=0, atol=SAME)
    for name, statistic in statistics(context).items():
        expected = jackknife(groups, statistic)
        assert scores.values[name].value == pytest.approx(float(expected.estimate), abs=SAME), name
        assert scores.values[name].low == pytest.approx(float(expected.low), abs=10 * SAME), name


# --- the jackknife


def test_jackknife_of_a_mean_is_the_textbook_error():
    """Equal groups: the standard error of the mean of the group means, and a t interval with G - 1 degrees."""
    rng = np.random.default_rng(68)
    z = rng.normal(size=(60, 2)) + 100
    groups = [PooledMoments(2, 1).update(torch.tensor(z[g::6]), torch.zeros(10, dtype=torch.int64)) for g in range(6)]
    found = jackknife(groups, lambda pooled: pooled.mean(), level=0.9)
    means = np.stack([z[g::6].mean(0) for g in range(6)])
    error = means.std(0, ddof=1) / np.sqrt(6)
    np.testing.assert_allclose(found.estimate, z.mean(0), rtol=1e-13)
    np.testing.assert_allclose(found.error, error, rtol=1e-9)
    np.testing.assert_allclose(found.high - found.estimate, stats.t.ppf(0.95, 5) * error, rtol=1e-9)
    np.testing.assert_allclose(found.estimate - found.low, stats.t.ppf(0.95, 5) * error, rtol=1e-9)
    assert found.replicates.shape == (6, 2)


def test_jackknife_needs_two_groups():
    _, context, groups, _, _ = setting()
    with pytest.raises(ValueError, match="1 group of texts; the jackknife leaves one of at least two out"):
        jackknife(groups[:1], hscore)
    with pytest.raises(ValueError, match="at least two"):
        score_layer(context, groups[:1])


def test_moments_that_do_not_fit_together():
    _, context, _, _, _ = setting()
    _, _, groups, _, _ = setting(dim=6)
    with pytest.raises(ValueError, match="both must come from one layer"):
        score_layer(context, groups)


def test_the_room_imports_nothing_else_of_the_package():
    """Arrays in, numbers out: no task, model, probe or transformers comes along."""
    script = "import sys, tokenworth.scores, tokenworth.scores.layer; print(*sys.modules, sep='\\n')"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    others = {name for name in loaded if name.startswith("tokenworth.") and name.split(".")[1] != "scores"}
    assert others == {"tokenworth.base", "tokenworth.base.front_door"}, "by which the package's own front door opens"
    assert not {"transformers", "datasets", "sklearn", "plotly", "pandas"} & set(loaded)


@pytest.mark.parametrize(("n", "again"), [(60, 0), (20, 0), (24, 6)], ids=["many texts", "few", "few, some twice"])
def test_rows_of_the_groups_change_nothing_but_the_cost(n, again):
    sample = slow.make_sample(7, n=n, dim=24, n_classes=3, signal=2.0, lengths=(6, 9))
    sample.z[:again] = sample.z[again : 2 * again]
    context, parts = slow.context_of(sample), [np.arange(g, n, 4) for g in range(4)]
    groups = [slow.pooled_of(sample, part) for part in parts]
    rows = [torch.from_numpy(sample.z[part]) for part in parts]
    plain, quick = score_layer(context, groups), score_layer(context, groups, rows=rows)
    for name, value in plain.values.items():
        for field in ("value", "low", "high"):
            assert getattr(quick.values[name], field) == pytest.approx(
                getattr(value, field), rel=1e-6, abs=1e-8, nan_ok=True
            )
    for name, curve in plain.curves.items():
        torch.testing.assert_close(quick.curves[name], curve, rtol=1e-5, atol=1e-6, equal_nan=True)
