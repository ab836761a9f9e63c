"""Where float32 sums end: repetitive texts, states beyond the format, and values that nobody else may change."""

import numpy as np
import pytest
import torch

import slow_truth as slow
from sinks import sink_sample
from tokenworth.assessment.layer_scores import Labels, layer_moments
from tokenworth.errors import EncodeError
from tokenworth.scores import ContextMoments, PooledMoments, ar_r2, log2_area, ntps, ntps_curve, retained
from tokenworth.scores.layer import score_layer
from tokenworth.scores.subspaces import autoregressive, perception

WIDTH, WORDS = 32, 7


def repetitive_sample(dtype, seed=0, n=120):
    """Texts that repeat phrases of seven words, before the first block: prefixes and pooled texts fill 7 directions."""
    rng = np.random.default_rng(seed)
    words = slow.as_stored(rng.normal(size=(WORDS, WIDTH)) + 3, dtype)
    phrases = [[0, 1, 2, 3], [4, 1, 2, 3], [0, 5, 6], [4, 6, 5]]
    labels = np.arange(n) % 2
    texts = []
    for label in labels:
        phrase = phrases[label + 2 * rng.integers(2)]
        texts.append(words[(phrase * int(rng.integers(1, 8)))[: rng.integers(3, 40)]])
    z = np.stack([torch.tensor(text).float().mean(0).double().numpy() for text in texts])
    return slow.Sample(texts, z, labels, 2)


@pytest.mark.parametrize("states", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("seed", range(4))
def test_repetitive_texts_score_the_same_in_every_format(states, seed):
    """Sums of float32 products against the data matrices in float64.  The curves were up to .3 apart: directions that
    hold only rounding entered V.  1e-3: what rounding of 1e-7 leaves where the weakest of the seven is 1e-4."""
    sample = repetitive_sample(states, seed)
    context, pooled = slow.context_of(sample, dtype=states), slow.pooled_of(sample)
    exact = slow.context_of(sample, dtype=torch.float64)
    v, strength = slow.encoder(sample.texts, scale=spread(sample.texts))
    rank = int((strength > 1e-9 * strength[0]).sum())
    found = autoregressive(context)
    assert (found.rank, found.hidden) == (rank, 0)
    np.testing.assert_allclose(ntps_curve(context, pooled), ntps_curve(exact, pooled), rtol=0, atol=1e-3)
    assert ar_r2(context) == pytest.approx(slow.ar_r2(sample.texts, 8), abs=1e-5)
    raw = [log2_area(retained(moments, pooled, adjusted=False)) for moments in (context, exact)]
    assert raw[0] == pytest.approx(raw[1], abs=1e-3)
    labels = perception(pooled).directions_Dr.numpy()
    assert float(ntps_curve(context, pooled)[rank - 1]) == pytest.approx(slow.overlap(v, rank, labels), abs=1e-3)


def spread(texts):
    """Root mean square of the prefixes about t times the mean state."""
    mean = slow.pairs(texts)[1].mean(0)
    return np.sqrt((slow.pairs([text - mean for text in texts])[0] ** 2).mean(0))


@pytest.mark.parametrize("states", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("n", [20, 26, 60], ids=["few texts", "near the width", "more texts"])
def test_a_first_token_that_drowns_the_others_leaves_every_score(states, n):
    """Against QR and SVD of the data, 24 directions.  2e-3: float32 sums of prefixes 170 times the rest (1.2e-3
    here, 1e-4 of it the ridge); bench/real_states.py measures the same on the states of two real models."""
    sample = sink_sample(3, n=n, dim=24, dtype=states, lengths=(20, 30))
    context, pooled = slow.context_of(sample, dtype=states), slow.pooled_of(sample)
    v, _ = slow.encoder(sample.texts, scale=spread(sample.texts))
    y, labels = slow.one_hot(sample.labels, 2), perception(pooled)
    basis = slow.label_subspace(sample.z, y, penalty=labels.penalty or None)
    for k in (3, 6, 12):
        expected = slow.overlap(v, k, basis)
        assert float(ntps_curve(context, pooled)[k - 1]) == pytest.approx(expected, abs=2e-3)
        assert ntps(context, pooled, k, convention="weighted") == pytest.approx(expected, abs=2e-3), "one direction"
        assert ar_r2(context, k) == pytest.approx(slow.ar_r2(sample.texts, k), abs=1e-4)
    gains = slow.gains(v, sample.z, y)
    np.testing.assert_allclose(retained(context, pooled, adjusted=False), gains / gains[-1], rtol=0, atol=1e-3)
    if n > 25 and not retained(context, pooled).isnan().any():
        adjusted = slow.adjusted(gains, (np.square(y - y.mean(0))).sum() / n, n)
        np.testing.assert_allclose(retained(context, pooled), adjusted, rtol=0, atol=5e-3)


def test_directions_below_the_rounding_are_said():
    """A spectrum without a gap: prefixes vary by 1e-5 and less of their largest direction in most of the others."""
    rng = np.random.default_rng(1)
    turn = slow.random_orthogonal(rng, 24) * np.geomspace(1, 1e-7, 24)[:, None]
    sample = slow.make_sample(1, n=90, dim=24, n_classes=2, signal=1.0, lengths=(5, 9))
    mixed = slow.mapped(sample, (turn.T @ slow.random_orthogonal(rng, 24)).T)
    groups = [slow.pooled_of(mixed, np.arange(g, 90, 3)) for g in range(3)]
    scores = score_layer(slow.context_of(mixed, dtype=torch.float32), groups)
    assert "rounding hides" in scores.reasons["ntps_rounding"]
    assert 0 <= scores.values["ntps"].value <= 1
    plain = score_layer(slow.context_of(sample, dtype=torch.float32), groups)
    assert "ntps_rounding" not in plain.reasons


@pytest.mark.parametrize(("size", "sentence"), [(0.0, "are 0"), (1e-30, "so small"), (1e20, "beyond float32")])
def test_states_beyond_the_format_are_said(size, sentence):
    """Weights that are all 0, or huge: no traceback, and the scores that stand."""
    states = size * torch.randn(12, 5, 6, generator=torch.Generator().manual_seed(0))
    context = ContextMoments(6).update(states, torch.ones(12, 5).bool())
    labels = torch.arange(12) // 2 % 2
    groups = [PooledMoments(6, 2).update(states.mean(1)[g::2], labels[g::2]) for g in range(2)]
    scores = score_layer(context, groups, conventions=True)
    assert set(scores.reasons) >= {"ntps", "retained_auc", "ar_r2"}
    assert sentence in scores.reasons["ntps"]
    assert 0 <= scores.values["hscore"].value <= 1
    if not size:  # labels of two equal classes, and nothing to read them from: N / 2 (log 2 - 1 - log 2 pi) nats
        assert scores.values["logme"].value == pytest.approx((np.log(2) - 1 - np.log(2 * np.pi)) / 2)


@pytest.mark.parametrize("change", ["relabelled", "original"])
def test_an_update_leaves_relabellings_as_they_are(change):
    sample = sink_sample(2, n=30, dim=6)
    pooled = slow.pooled_of(sample)
    y = slow.one_hot(1 - sample.labels, 2)
    other = pooled.relabel(torch.tensor(sample.z.T @ y), torch.tensor(y.sum(0)))
    updated, kept = (other, pooled) if change == "relabelled" else (pooled, other)
    before = kept.sums.zz_DD.clone()
    updated.update(torch.tensor(sample.z[:5]), torch.tensor(sample.labels[:5]))
    assert torch.equal(kept.sums.zz_DD, before)
    assert kept.n_texts == 30
    assert updated.n_texts == 35


def test_pooled_texts_beyond_float32_are_one_sentence():
    """States of 1e38 are finite; their sum over tokens is not."""
    labels = Labels(torch.arange(8) % 2, np.arange(2), torch.arange(8) // 4, torch.empty(0, 8, dtype=torch.int64), 2)
    features = torch.full((8, 3), torch.inf)
    with pytest.raises(EncodeError, match="beyond float32"):
        layer_moments(features, labels)


def spans_fewer(seed, dim=32, filled=30, n=200):
    """Independent tokens of a vocabulary that leaves two directions empty, as before the first block."""
    rng = np.random.default_rng(seed)
    words = (rng.normal(size=(60, filled)) @ np.linalg.qr(rng.normal(size=(dim, filled)))[0].T).astype(np.float32)
    labels = np.arange(n) % 2
    texts = [words[rng.integers(30 * label, 30 * label + 30, rng.integers(4, 12))] for label in labels]
    return texts, labels


@pytest.mark.parametrize("seed", range(12))
def test_empty_directions_count_for_nothing_whatever_the_sign_of_their_rounding(seed):
    """Two of them are both above 0 in one of four sums; NTPS then was up to .14 from what other batches gave."""
    texts, labels = spans_fewer(seed)
    pooled = PooledMoments(32, 2).update(
        torch.tensor(np.stack([text.mean(0) for text in texts]), dtype=torch.float64), torch.tensor(labels)
    )
    curves = []
    for size in (200, 67, 13):
        context = ContextMoments(32)
        for start in range(0, len(texts), size):
            part = texts[start : start + size]
            states = torch.zeros(len(part), max(map(len, part)), 32)
            mask = torch.zeros(states.shape[:2], dtype=torch.bool)
            for row, text in enumerate(part):
                states[row, : len(text)], mask[row, : len(text)] = torch.tensor(text), True
            context.update(states, mask)
        found = autoregressive(context)
        assert (found.rank, found.hidden) == (30, 0)
        curves.append(ntps_curve(context, pooled))
    for curve in curves[1:]:
        torch.testing.assert_close(curve, curves[0], rtol=0, atol=2e-3)
