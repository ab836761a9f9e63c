"""NTPS and autoregressive R2 against the definitions on the data matrices, and the published code against its
description."""

import numpy as np
import pytest
import torch

import slow_truth as slow
from tokenworth.scores import ContextMoments, PooledMoments, ar_r2, ntps, ntps_curve, retained
from tokenworth.scores.published_ntps import PublishedCode

# The package puts a relative ridge of 1e-8 under C0; the condition of C0 (some hundreds after scaling) and the gaps
# between neighbouring eigenvalues multiply it.
FLOAT64 = 1e-5
# float32 products of batches, and states of 8 to 11 bits give no further error: the truth takes the stored values.
FLOAT32 = 1e-4

CASES = {
    "tall": ({}, FLOAT64),
    "two classes": ({"n_classes": 2, "dim": 16}, FLOAT64),
    "77 classes": ({"n": 400, "n_classes": 77, "dim": 84}, FLOAT64),
    "more directions than texts": ({"n": 25, "dim": 30, "lengths": (4, 9)}, FLOAT64),
    "mean 1,000": ({"mean": 1000.0, "dtype": torch.float32}, FLOAT32),
    "float32": ({"dtype": torch.float32}, FLOAT32),
    "bf16": ({"dtype": torch.bfloat16}, FLOAT32),
    "float16": ({"dtype": torch.float16}, FLOAT32),
    "one huge coordinate": ({"scale": np.array([1000.0] + [1.0] * 11)}, FLOAT64),
}


def case(name):
    settings, tolerance = CASES[name]
    return slow.make_sample(21, **settings), settings.get("dtype", torch.float64), tolerance


def ridge_penalty(sample, center=True):
    """The path's best penalty by explicit hat matrices where the label side needs one, else None."""
    if len(sample.z) > sample.dim:
        return None
    return slow.gcv_penalty(sample.z, slow.one_hot(sample.labels, sample.n_classes), center=center)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("prefix", ["sum", "mean"])
def test_ntps_equals_the_definition(name, prefix):
    sample, dtype, tolerance = case(name)
    context, pooled = slow.context_of(sample, prefix=prefix, dtype=dtype), slow.pooled_of(sample)
    penalty = ridge_penalty(sample)
    for k in (1, 3, sample.dim // 4, sample.dim // 2, sample.dim - 1):
        expected = slow.ntps(sample, k, prefix=prefix, penalty=penalty)
        assert ntps(context, pooled, k) == pytest.approx(expected, abs=tolerance), k


@pytest.mark.parametrize("name", ["tall", "two classes", "bf16", "one huge coordinate"])
def test_ntps_without_an_intercept_and_with_a_whitened_target(name):
    sample, dtype, tolerance = case(name)
    context, pooled = slow.context_of(sample, dtype=dtype), slow.pooled_of(sample)
    for k in (2, 5):
        for center, target in ((False, "plain"), (True, "whitened")):
            expected = slow.ntps(sample, k, center=center, target=target)
            assert ntps(context, pooled, k, center=center, target=target) == pytest.approx(expected, abs=tolerance)


def test_ntps_with_a_centred_context():
    sample, _, _ = case("tall")
    v, _ = slow.encoder(sample.texts, center=True)
    q = slow.label_subspace(sample.z, slow.one_hot(sample.labels, 3))
    found = ntps(slow.context_of(sample), slow.pooled_of(sample), 4, center_context=True)
    assert found == pytest.approx(slow.overlap(v, 4, q), abs=FLOAT64)


@pytest.mark.parametrize("name", ["tall", "two classes", "mean 1,000", "bf16", "one huge coordinate"])
@pytest.mark.parametrize("center", [True, False])
def test_weighted_ntps_is_the_formula_as_printed(name, center):
    sample, dtype, tolerance = case(name)
    context, pooled = slow.context_of(sample, dtype=dtype), slow.pooled_of(sample)
    v, _ = slow.encoder(sample.texts)
    u, _ = slow.label_directions(sample.z, slow.one_hot(sample.labels, sample.n_classes), center=center)
    for k in (1, 4, 9):
        found = ntps(context, pooled, k, convention="weighted", center=center)
        assert found == pytest.approx(slow.overlap(v, k, u), abs=tolerance)


@pytest.mark.parametrize("name", CASES)
def test_the_curve_is_every_k_at_once_and_ends_at_one(name):
    sample, dtype, _ = case(name)
    context, pooled = slow.context_of(sample, dtype=dtype), slow.pooled_of(sample)
    curve = ntps_curve(context, pooled).numpy()
    assert curve.shape == (sample.dim,)
    assert (np.diff(curve) > -1e-12).all()
    assert (curve > -1e-12).all()
    assert curve[-1] == pytest.approx(1, abs=1e-9)
    for k in (1, sample.dim // 3, sample.dim):
        assert ntps(context, pooled, k) == pytest.approx(curve[k - 1], abs=1e-12)
    assert ntps(context, pooled, 1.0, convention="weighted") == pytest.approx(1, abs=1e-9)


def test_a_share_is_a_count_of_directions():
    sample, _, _ = case("two classes")
    context, pooled = slow.context_of(sample), slow.pooled_of(sample)
    assert ntps(context, pooled) == ntps(context, pooled, 0.25) == ntps(context, pooled, 4)
    assert ntps(context, pooled, 0.001) == ntps(context, pooled, 1) == ntps(context, pooled, np.int64(1))
    for k in (0, 17, -1, 0.0, 1.5):
        with pytest.raises(ValueError, match=r"k = .* directions"):
            ntps(context, pooled, k)


@pytest.mark.parametrize(("dim", "n_classes", "center"), [(8, 9, True), (8, 77, True), (8, 8, False)])
def test_labels_that_use_every_direction_saturate(dim, n_classes, center):
    sample = slow.make_sample(22, n=300, dim=dim, n_classes=n_classes)
    context, pooled = slow.context_of(sample), slow.pooled_of(sample)
    assert np.isnan(ntps(context, pooled, 2, center=center))
    assert np.isnan(ntps(context, pooled, 2, convention="weighted", center=center))
    assert ntps_curve(context, pooled, center=center).isnan().all()


def test_one_class_fewer_does_not_saturate():
    sample = slow.make_sample(22, n=300, dim=8, n_classes=8)
    found = ntps(slow.context_of(sample), slow.pooled_of(sample), 2)
    assert found == pytest.approx(slow.ntps(sample, 2), abs=FLOAT64)


def degenerate(name):
    """A sample whose second coordinate says nothing of its own."""
    sample = slow.make_sample(23, n=200, dim=9, n_classes=3)
    replacement = {
        "constant": lambda t: np.full(len(t), 7.3),
        "zero": lambda t: np.zeros(len(t)),
        "copy": lambda t: t[:, 0],
    }
    for text in sample.texts:
        text[:, 1] = replacement[name](text)
    return slow.Sample(sample.texts, np.stack([t.mean(0) for t in sample.texts]), sample.labels, 3)


@pytest.mark.parametrize("name", ["constant", "zero", "copy"])
def test_a_coordinate_without_variance_of_its_own(name):
    """Szz is singular, so the ridge read-out gives the label directions; 1e-4 because the ridge under a singular C0
    moves directions by the square root of what it moves eigenvalues."""
    sample = degenerate(name)
    context, pooled = slow.context_of(sample), slow.pooled_of(sample)
    penalty = slow.gcv_penalty(sample.z, slow.one_hot(sample.labels, 3))
    for k in (1, 3, 6):
        assert ntps(context, pooled, k) == pytest.approx(slow.ntps(sample, k, penalty=penalty), abs=1e-4)
    assert ntps(context, pooled, 9) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_ar_r2_is_what_the_best_rank_k_prediction_explains(name):
    sample, dtype, tolerance = case(name)
    for prefix in ("sum", "mean"):
        context = slow.context_of(sample, prefix=prefix, dtype=dtype)
        for k in (1, sample.dim // 4, sample.dim):
            assert ar_r2(context, k) == pytest.approx(slow.ar_r2(sample.texts, k, prefix), abs=tolerance)


@pytest.mark.parametrize("center", [False, True])
def test_ar_r2_whitened_and_centred(center):
    """Whitened, every direction of the next state counts alike: the mean squared canonical correlation."""
    sample, _, _ = case("tall")
    context = slow.context_of(sample)
    for k in (1, 6):
        plain = ar_r2(context, k, center_context=center)
        assert plain == pytest.approx(slow.ar_r2(sample.texts, k, center=center), abs=FLOAT64)
        if not center:
            whitened = ar_r2(context, k, target="whitened")
            assert whitened == pytest.approx(slow.ar_r2(sample.texts, k, target="whitened"), abs=FLOAT64)


# --- the published code.  Its weakest label directions are a null space in which any basis is as good, so it is
# compared where the score does not depend on that basis: as many classes as directions, the whole null space, or more.


def published_sample(n_classes, dim=10):
    return slow.make_sample(24, n=300, dim=dim, n_classes=n_classes, signal=1.0)


@pytest.mark.parametrize("k", [0.2, 0.35, 0.5, 0.9, 1.0, 3])
def test_published_code_with_as_many_classes_as_directions(k):
    """Ascending eigenvalues of C1 C1' squared: 1e-5 of the largest is all the small ones keep, and some of that."""
    sample = published_sample(14)
    expected = slow.published_ntps(sample.texts, sample.z, slow.one_hot(sample.labels, 14), k)
    found = ntps(slow.context_of(sample), slow.pooled_of(sample), k, convention="published-code")
    assert found == pytest.approx(expected, abs=1e-5)
    assert (found == pytest.approx(1, abs=1e-6)) == (k == 1.0)


@pytest.mark.parametrize("k", [7, 8, 9, 0.75, 0.9])
def test_published_code_from_the_whole_null_space_on(k):
    sample = published_sample(3)
    expected = slow.published_ntps(sample.texts, sample.z, slow.one_hot(sample.labels, 3), k)
    found = ntps(slow.context_of(sample), slow.pooled_of(sample), k, convention="published-code")
    assert found == pytest.approx(expected, abs=1e-5)


def test_published_code_of_many_k_at_once():
    sample = published_sample(14)
    context, pooled = slow.context_of(sample), slow.pooled_of(sample)
    ks = [0.05, 0.2, 0.5, 0.9, 3]
    found = PublishedCode.of(context, pooled).curve(pooled, ks).numpy()
    assert np.isnan(found[0]), "no direction is left of a twentieth of ten"
    expected = [slow.published_ntps(sample.texts, sample.z, slow.one_hot(sample.labels, 14), k) for k in ks[1:]]
    np.testing.assert_allclose(found[1:], expected, atol=1e-5)


def test_published_code_drops_directions_below_its_absolute_threshold():
    """A coordinate of variance 1e-10 is dropped on both sides; the score is that of the others."""
    sample = published_sample(14, dim=6)
    small = slow.mapped(sample, np.diag([1, 1, 1, 1, 1, 1e-5]))
    kept = slow.mapped(sample, np.diag([100, 100, 100, 100, 100, 1e-3]))  # 1e-6 beside 1e4 is above it
    for other in (small, kept):
        found = ntps(slow.context_of(other), slow.pooled_of(other), 0.9, convention="published-code")
        expected = slow.published_ntps(other.texts, other.z, slow.one_hot(other.labels, 14), 0.9)
        assert found == pytest.approx(expected, abs=1e-4)
    tiny = slow.mapped(sample, 1e-6 * np.eye(6))
    assert np.isnan(ntps(slow.context_of(tiny), slow.pooled_of(tiny), 0.9, convention="published-code"))


def test_published_code_scores_shuffled_labels_like_true_ones():
    """96 directions, 4 classes apart in the three of largest variance, which come first in the encoder, k = .25.

    Shuffling takes the definition and the retained signal down to their chance levels and leaves the published code
    where it was; .02 is four times the difference seen, the noise of one shuffle.
    """
    rng = np.random.default_rng(25)
    labels = np.arange(4000) % 4
    spread = np.geomspace(5, 0.2, 96)
    z = rng.normal(size=(4000, 96)) * spread
    z[:, :3] += 20 * rng.normal(size=(4, 3))[labels]
    texts = [np.stack([h, h * spread]) for h in rng.normal(size=(1000, 96)) * spread]
    sample = slow.Sample(texts, z, labels, 4)
    context, true = slow.context_of(sample), slow.pooled_of(sample)
    shuffled = slow.pooled_of(sample, labels=rng.permutation(labels))
    published = [ntps(context, labels, 0.25, convention="published-code") for labels in (true, shuffled)]
    assert min(published) > 0.8
    assert abs(published[0] - published[1]) < 0.02
    assert ntps(context, true, 0.25) > 10 * ntps(context, shuffled, 0.25)
    assert retained(context, true, adjusted=False)[23] > 0.95
    assert retained(context, shuffled, adjusted=False)[23] < 0.4


# --- mistakes


def test_moments_that_cannot_be_scored_say_why():
    sample, _, _ = case("tall")
    context, pooled = slow.context_of(sample), slow.pooled_of(sample)
    one_token = ContextMoments(12).update(torch.ones(3, 1, 12), torch.ones(3, 1).bool())
    same = PooledMoments(12, 2).update(torch.ones(4, 12), torch.tensor([0, 1, 0, 1]))
    with pytest.raises(ValueError, match="no text has two tokens"):
        ntps(one_token, pooled)
    with pytest.raises(ValueError, match="no text has two tokens"):
        ar_r2(ContextMoments(12))
    with pytest.raises(ValueError, match="no texts were added"):
        ntps(context, PooledMoments(12, 3))
    with pytest.raises(ValueError, match="the pooled texts are all equal"):
        ntps(context, same)
    with pytest.raises(ValueError, match=r"context moments have width 12, pooled moments 24; .* keeps its width"):
        ntps(context, PooledMoments(24, 3))
    with pytest.raises(ValueError, match="convention is 'definition', 'weighted' or 'published-code', not 'mine'"):
        ntps(context, pooled, convention="mine")
    with pytest.raises(ValueError, match="needs ContextMoments"):
        ntps(slow.context_of(sample, target_moment=False), pooled, target="whitened")
    with pytest.raises(ValueError, match="NaN or infinity"):
        ntps(ContextMoments(12).update(torch.full((2, 3, 12), torch.nan), torch.ones(2, 3).bool()), pooled)
