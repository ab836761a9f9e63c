"""Where a score means nothing score_layer says why, and the others stand."""

import numpy as np
import pytest
import torch

import slow_truth as slow
from sinks import sink_sample
from test_scores_layer import GROUPS, SAME, setting
from tokenworth.scores import (
    ContextMoments,
    PooledMoments,
    first_reaching,
    hscore,
    log2_area,
    logme,
    ntps,
    retained,
    ridge,
)
from tokenworth.scores.crossfit_retained import crossfit_retained
from tokenworth.scores.frame import frame
from tokenworth.scores.layer import score_layer
from tokenworth.scores.pooled import add_up


def crossfit(context, groups):
    total = add_up(groups)
    return crossfit_retained(frame(context, total), groups, total)


def assert_transfer_scores_stand(scores, total):
    assert scores.values["hscore"].value == pytest.approx(hscore(total), abs=SAME)
    assert scores.values["logme"].value == pytest.approx(logme(total), abs=SAME)
    assert np.isfinite([scores.values["hscore"].low, scores.values["logme"].high]).all()


def test_without_a_context_the_other_scores_stand():
    _, _, groups, shuffled, total = setting()
    one_token = ContextMoments(12).update(torch.ones(3, 1, 12), torch.ones(3, 1).bool())
    for context, reason in ((None, "the pooling changes the width"), (one_token, "no text has two tokens")):
        scores = score_layer(context, groups, shuffled, conventions=True)
        assert set(scores.values) == {"hscore", "logme"}
        assert set(scores.reasons) == {"ntps", "retained_auc", "ar_r2"}
        assert all(reason in sentence for sentence in scores.reasons.values())
        assert_transfer_scores_stand(scores, total)


@pytest.mark.parametrize("noise", [0.0, 1e-7])
def test_pooled_texts_that_are_all_equal(noise):
    """The first token of every text before the first block, for one: equal, or equal but for float32 rounding."""
    _, context, _, _, _ = setting()
    rng = np.random.default_rng(62)
    z = 1.7 * (1 + noise * rng.integers(-1, 2, size=(60, 12)))
    groups = [PooledMoments(12, 2).update(torch.tensor(z[g::3]), torch.arange(20) % 2) for g in range(3)]
    scores = score_layer(context, groups, groups[:0], conventions=True)
    assert "all equal" in scores.reasons["ntps"]
    assert "all equal" in scores.reasons["retained_auc"]
    assert "ntps" not in scores.values
    assert scores.values["hscore"].value == pytest.approx(0, abs=0.5)
    assert np.isfinite(scores.values["logme"].value)


def test_saturated_labels():
    _, context, groups, shuffled, total = setting(n_classes=20, dim=8, n=300)
    scores = score_layer(context, groups, shuffled)
    assert "20 classes use all 8 directions" in scores.reasons["ntps"]
    assert "ntps" not in scores.values
    assert scores.values["retained_auc"].value == pytest.approx(log2_area(retained(context, total)), abs=SAME)


def test_no_signal_gives_no_adjusted_curve():
    sample, context, _, _, _ = setting(signal=0.0)
    labels = np.random.default_rng(69).permutation(sample.labels)
    groups = [slow.pooled_of(sample, np.arange(g, 180, 6), labels=labels) for g in range(6)]
    assert retained(context, slow.pooled_of(sample, labels=labels)).isnan().all(), "a draw with a signal by chance"
    scores = score_layer(context, groups)
    assert scores.reasons["retained_auc"] == "the labels cannot be read linearly beyond what chance explains"
    assert not {"retained_auc", "k90"} & set(scores.values)
    assert "retained" not in scores.curves


def held_out_gains(sample, v, folds):
    """Squared error saved by each V_k on every fold from least squares on the others."""
    y, saved = slow.one_hot(sample.labels, sample.n_classes), np.zeros(v.shape[1])
    for fold in range(folds.max() + 1):
        fit, out = folds != fold, folds == fold
        mean_z, mean_y = sample.z[fit].mean(0), y[fit].mean(0)
        for k in range(1, v.shape[1] + 1):
            read = (sample.z - mean_z) @ v[:, :k]
            weights = np.linalg.lstsq(read[fit], y[fit] - mean_y, rcond=None)[0]
            error = y[out] - mean_y
            saved[k - 1] += (error**2).sum() - ((error - read[out] @ weights) ** 2).sum()
    return saved


def test_crossfit_is_refitting_without_each_group():
    sample, context, groups, _, _ = setting()
    v, _ = slow.encoder(sample.texts)
    saved = held_out_gains(sample, v, np.arange(180) % GROUPS)
    expected = (saved / saved.max()).clip(0)  # a read-out that saves nothing retains nothing
    np.testing.assert_allclose(crossfit(context, groups), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("states", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("sink", [False, True], ids=["plain", "sink"])
def test_crossfit_reads_through_the_encoder_where_texts_are_few(states, sink):
    """20 texts, 24 directions, 15 texts a fit: held out texts were read through the part of V that the fit's texts
    span instead of through V' z.  2e-4: the relative ridge of C0, beside a coordinate that drowns the others."""
    sample = (
        sink_sample(66, n=20, dim=24, dtype=states, signal=2.0, lengths=(6, 9))
        if sink
        else slow.make_sample(66, n=20, dim=24, n_classes=2, signal=2.0, dtype=states)
    )
    groups = [slow.pooled_of(sample, np.arange(g, 20, 4)) for g in range(4)]
    saved = held_out_gains(sample, slow.encoder(sample.texts, scale=None)[0][:, :14], np.arange(20) % 4)
    curve = crossfit(slow.context_of(sample), groups).numpy()
    np.testing.assert_allclose(curve[:10], (saved / saved.max()).clip(0)[:10], rtol=0, atol=2e-4)
    assert (curve[14:] == curve[13]).all()


def test_too_few_texts_are_cross_fitted():
    """N = 13 <= D + 1: no adjustment is possible, and held-out groups take its place."""
    sample = slow.make_sample(64, n=13, dim=12, n_classes=2, signal=3.0, lengths=(9, 12))
    context = slow.context_of(sample)
    groups = [slow.pooled_of(sample, np.arange(g, 13, 3)) for g in range(3)]
    scores = score_layer(context, groups)
    curve = crossfit(context, groups)
    assert "13 texts cannot tell signal from chance in 12 directions" in scores.reasons["retained_auc"]
    assert "cross-fitted over 3 groups" in scores.reasons["retained_auc"]
    assert float(curve.max()) == pytest.approx(1)
    assert scores.values["retained_auc"].value == pytest.approx(log2_area(curve))
    assert scores.values["k90"].value == first_reaching(curve, 0.9)
    assert np.isnan(scores.values["retained_auc"].low)
    assert "label_r2" not in scores.values


def test_cross_fitting_without_signal_reports_nothing():
    """Twenty shuffles: most explain nothing held out; where one does by chance, its curve stays within [0, 1]."""
    sample = slow.make_sample(65, n=12, dim=16, n_classes=2, lengths=(9, 12))
    context, v, clipped, reported = slow.context_of(sample), slow.encoder(sample.texts)[0], 0, 0
    for seed in range(20):
        labels = np.random.default_rng(seed).permutation(sample.labels)
        shuffled = slow.Sample(sample.texts, sample.z, labels, 2)
        groups = [slow.pooled_of(shuffled, np.arange(g, 12, 3)) for g in range(3)]
        curve, scores = crossfit(context, groups), score_layer(context, groups)
        if curve.isnan().any():
            assert "retained_auc" not in scores.values
            assert "12 texts cannot tell signal from chance in 11 directions" in scores.reasons["retained_auc"]
            assert "more than its standard error" in scores.reasons["retained_auc"]
            continue
        reported += 1
        assert 0 <= float(curve.min()) <= float(curve.max()) == 1
        # read-outs of one and two directions; from the fitted texts' number on, least squares has no one answer
        clipped += int((held_out_gains(shuffled, v[:, :2], np.arange(12) % 3) < 0).any())
    assert reported < 15
    assert clipped > 0, "choose a sample in which some read-out loses"


def test_a_dead_coordinate_whose_squares_float32_cannot_hold_changes_nothing():
    """The last layer of all-MiniLM-L6-v2 has one: values near 1e-32, so that C0 is zero or rounding there."""
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(200, 9, 12, generator=generator)
    labels = torch.arange(200) % 3
    states += torch.randn(3, 12, generator=generator)[labels][:, None]
    mask = torch.ones(200, 9, dtype=torch.bool)
    dead = torch.cat([states, 1e-32 * torch.randn(200, 9, 1, generator=generator)], dim=2)
    found = []
    for batch in (states, dead):
        context = ContextMoments(batch.shape[2]).update(batch, mask)
        pooled = PooledMoments(batch.shape[2], 3).update(batch.mean(1), labels)
        found.append((retained(context, pooled)[[2, 11]], ridge(pooled).r2, ntps(context, pooled, 12)))
    for without, beside in zip(*found, strict=True):
        torch.testing.assert_close(torch.as_tensor(beside), torch.as_tensor(without), rtol=0, atol=2e-2)
