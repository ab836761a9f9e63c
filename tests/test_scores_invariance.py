"""What must not change a score: orthogonal maps of the states, any invertible map where promised, a unit of measure."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import slow_truth as slow
from tokenworth.scores import (
    ContextMoments,
    ar_r2,
    excess_loss,
    hscore,
    log2_area,
    logme,
    ntps,
    ntps_curve,
    retained,
    ridge,
)

# The relative ridge of 1e-8 acts on coordinates, which a map changes: 1e-8 times the condition of C0 and of the map.
TOLERANCE = 1e-5
SAMPLE = slow.make_sample(51, n=200, dim=12, signal=1.0)


def moments(sample, **settings):
    return slow.context_of(sample, **settings), slow.pooled_of(sample)


def with_target_fixed(context, matrix):
    """The moments of mapped prefixes M s beside the next states h as they were."""
    m, sums = torch.tensor(matrix), context.sums.about(torch.zeros(context.dim, dtype=torch.float64))
    result = ContextMoments(context.dim, context.prefix)
    result.sums = replace(sums, s_D=m @ sums.s_D, ws_D=m @ sums.ws_D, ss_DD=m @ sums.ss_DD @ m.T, sh_DD=m @ sums.sh_DD)
    return result


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("prefix", ["sum", "mean"])
def test_orthogonal_maps_of_the_states_change_no_score(seed, prefix):
    rotated = slow.mapped(SAMPLE, slow.random_orthogonal(np.random.default_rng(seed), 12))
    (context, pooled), (context2, pooled2) = moments(SAMPLE, prefix=prefix), moments(rotated, prefix=prefix)
    np.testing.assert_allclose(ntps_curve(context2, pooled2), ntps_curve(context, pooled), rtol=0, atol=TOLERANCE)
    for convention in ("weighted", "published-code"):
        # .75 of 12 and the whole null space (9) of three classes: where published-code does not depend on the solver
        found = ntps(context2, pooled2, 0.75, convention=convention)
        assert found == pytest.approx(ntps(context, pooled, 0.75, convention=convention), abs=TOLERANCE)
    for adjusted in (True, False):
        found = retained(context2, pooled2, adjusted=adjusted)
        np.testing.assert_allclose(found, retained(context, pooled, adjusted=adjusted), rtol=0, atol=10 * TOLERANCE)
    for k in (1, 5):
        for target in ("plain", "whitened"):
            assert ar_r2(context2, k, target=target) == pytest.approx(ar_r2(context, k, target=target), abs=TOLERANCE)
    assert hscore(pooled2) == pytest.approx(hscore(pooled), rel=1e-9)
    assert logme(pooled2) == pytest.approx(logme(pooled), abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("center", [True, False])
def test_any_map_of_prefixes_and_pooled_texts_with_the_next_state_fixed_keeps_retained(seed, center):
    matrix = slow.random_invertible(np.random.default_rng(seed), 12)
    (context, pooled), mapped = moments(SAMPLE), slow.mapped(SAMPLE, matrix)
    context2, pooled2 = with_target_fixed(context, matrix), slow.pooled_of(mapped)
    for adjusted in (True, False):
        expected = retained(context, pooled, center=center, adjusted=adjusted)
        found = retained(context2, pooled2, center=center, adjusted=adjusted)
        np.testing.assert_allclose(found, expected, rtol=0, atol=10 * TOLERANCE)
    assert ar_r2(context2, 4) == pytest.approx(ar_r2(context, 4), abs=TOLERANCE)
    assert excess_loss(context2, pooled2, 4) == pytest.approx(excess_loss(context, pooled, 4), abs=TOLERANCE)
    assert hscore(pooled2, shrink=False) == pytest.approx(hscore(pooled, shrink=False), rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_any_map_of_all_states_keeps_what_has_a_whitened_target(seed):
    """And the plain target it does change, or the test would say nothing."""
    mapped = slow.mapped(SAMPLE, slow.random_invertible(np.random.default_rng(seed), 12))
    (context, pooled), (context2, pooled2) = moments(SAMPLE), moments(mapped)
    for adjusted in (True, False):
        expected = retained(context, pooled, adjusted=adjusted, target="whitened")
        found = retained(context2, pooled2, adjusted=adjusted, target="whitened")
        np.testing.assert_allclose(found, expected, rtol=0, atol=10 * TOLERANCE)
    for k in (1, 4):
        found, expected = (ar_r2(c, k, target="whitened") for c in (context2, context))
        assert found == pytest.approx(expected, abs=TOLERANCE)
    difference = retained(context2, pooled2, adjusted=False) - retained(context, pooled, adjusted=False)
    assert float(difference.abs().max()) > 0.01


@pytest.mark.parametrize("scale", [1e-3, 1e3, 1e6])
@pytest.mark.parametrize("every", [True, False])
def test_a_coordinate_a_thousand_times_the_others(scale, every):
    """One coordinate (or the unit of all) rescaled is an invertible map: whatever is invariant to those stays, and the
    huge coordinate does not drown the rest.  A ridge relative to the trace would (NTPS .56 became .81)."""
    factors = np.full(12, scale) if every else np.array([1.0, scale] + [1.0] * 10)
    mapped = slow.mapped(SAMPLE, np.diag(factors))
    (context, pooled), (context2, pooled2) = moments(SAMPLE), moments(mapped)
    expected = retained(context, pooled, target="whitened")
    np.testing.assert_allclose(retained(context2, pooled2, target="whitened"), expected, rtol=0, atol=10 * TOLERANCE)
    if scale > 1:  # the scale of a prefix is taken about the mean state: real states never have prefixes far smaller
        fixed = with_target_fixed(context, np.diag(factors))
        np.testing.assert_allclose(retained(fixed, pooled2), retained(context, pooled), rtol=0, atol=10 * TOLERANCE)
        assert ar_r2(fixed, 3) == pytest.approx(ar_r2(context, 3), abs=TOLERANCE)
    assert hscore(pooled2, shrink=False) == pytest.approx(hscore(pooled, shrink=False), rel=1e-9)
    # the ridge probe's penalty acts on coordinates of unit variance
    z, z2 = torch.tensor(SAMPLE.z), torch.tensor(mapped.z)
    assert ridge(pooled2).penalty == ridge(pooled).penalty
    np.testing.assert_allclose(ridge(pooled2).decision(z2), ridge(pooled).decision(z), rtol=0, atol=1e-8)
    weights, weights2 = (ridge(p, penalty=0.1).weights_DC for p in (pooled, pooled2))
    np.testing.assert_allclose(z2 @ weights2, z @ weights, rtol=0, atol=1e-8)
    for k in (2, 6):  # not invariant to such a map, but right
        assert ntps(context2, pooled2, k) == pytest.approx(slow.ntps(mapped, k), abs=TOLERANCE)


@pytest.mark.parametrize("mean", [10.0, 1000.0])
def test_a_common_mean_of_the_pooled_texts_changes_nothing_that_has_an_intercept(mean):
    """Szz keeps 1e-9 of its digits at a mean of 1,000; LogME and center=False see the mean by definition."""
    context, pooled = moments(SAMPLE)
    moved = slow.Sample(SAMPLE.texts, SAMPLE.z + mean, SAMPLE.labels, 3)
    pooled2 = slow.pooled_of(moved)
    np.testing.assert_allclose(ntps_curve(context, pooled2), ntps_curve(context, pooled), rtol=0, atol=1e-8)
    np.testing.assert_allclose(retained(context, pooled2), retained(context, pooled), rtol=0, atol=1e-8)
    assert hscore(pooled2) == pytest.approx(hscore(pooled), rel=1e-8)
    assert ridge(pooled2).gcv == pytest.approx(ridge(pooled).gcv, rel=1e-8)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_order_and_sharding_of_texts_change_no_score(dtype):
    """float32 products differ by 1e-7 between batch shapes, times the condition of C0."""
    tolerance = 1e-9 if dtype == torch.float64 else 1e-4
    order = np.random.default_rng(52).permutation(200)
    parts = np.array_split(order, 7)
    shards = [
        slow.Sample([SAMPLE.texts[row] for row in part], SAMPLE.z[part], SAMPLE.labels[part], 3) for part in parts
    ]
    context, pooled = moments(SAMPLE, dtype=dtype)
    context2, pooled2 = moments(shards[0], dtype=dtype, batch=9)
    for shard in shards[1:]:
        more = moments(shard, dtype=dtype, batch=5)
        context2, pooled2 = more[0] + context2, pooled2 + more[1]
    np.testing.assert_allclose(ntps_curve(context2, pooled2), ntps_curve(context, pooled), rtol=0, atol=tolerance)
    np.testing.assert_allclose(retained(context2, pooled2), retained(context, pooled), rtol=0, atol=tolerance)
    assert ar_r2(context2, 3) == pytest.approx(ar_r2(context, 3), abs=tolerance)
    assert hscore(pooled2) == pytest.approx(hscore(pooled), rel=1e-9)
    assert logme(pooled2) == pytest.approx(logme(pooled), abs=1e-9)
    assert ridge(pooled2).gcv == pytest.approx(ridge(pooled).gcv, rel=1e-9)


def test_shuffled_labels_bring_ntps_to_its_permutation_level():
    """The level is a property of features and encoder: two sets of 100 shuffles agree within their noise (each mean has
    a standard error of some .01), while in a whitened space the level would be k/d."""
    context, _ = moments(SAMPLE)
    rng = np.random.default_rng(53)
    scores = [ntps(context, slow.pooled_of(SAMPLE, labels=rng.permutation(SAMPLE.labels)), 3) for _ in range(200)]
    first, second = np.mean(scores[:100]), np.mean(scores[100:])
    error = np.std(scores) / 10
    assert error < 0.02
    assert abs(first - second) < 4 * error
    white = np.linalg.solve(np.linalg.cholesky(np.cov(SAMPLE.z.T)), SAMPLE.z.T).T
    isotropic = slow.Sample(SAMPLE.texts, white, SAMPLE.labels, 3)
    levels = [ntps(context, slow.pooled_of(isotropic, labels=rng.permutation(SAMPLE.labels)), 3) for _ in range(100)]
    assert np.mean(levels) == pytest.approx(3 / 12, abs=4 * np.std(levels) / 10)


def test_a_stronger_signal_in_the_encoders_directions_raises_the_retained_area():
    """The same texts, labels from the first and from the last encoder direction."""
    context, _ = moments(SAMPLE)
    v, _ = slow.encoder(SAMPLE.texts)
    areas = []
    for direction in (v[:, 0], v[:, -1]):
        labels = (SAMPLE.z @ direction > np.median(SAMPLE.z @ direction)).astype(int)
        areas.append(log2_area(retained(context, slow.pooled_of(slow.Sample([], SAMPLE.z, labels, 2)))))
    assert areas[0] > areas[1] + 0.3
