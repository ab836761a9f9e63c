"""Known entropy: cross-entropy = entropy + KL to rounding, and training pays for the KL alone."""

import math
from itertools import pairwise, product

import numpy as np
import pytest
import torch

from measured_models import machine, random_decoder, train
from tokenworth.errors import SettingError
from tokenworth.measures import Source, identity

CHAIN = Source.markov([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5], [0.3, 0.3, 0.4]])
BEGIN = 3


def decoder(**changes):
    return random_decoder(vocab_size=4, bos_token_id=BEGIN, **changes)


@pytest.mark.parametrize("source", [CHAIN, Source.independent([0.5, 0.25, 0.25])], ids=["chain", "independent"])
def test_cross_entropy_is_entropy_and_kl(source):
    """The three come by different ways: losses of whole texts, a closed form, distributions place by place."""
    found = identity(decoder(dtype=torch.float64), source, 6, begin=BEGIN)
    assert found.enumerated
    assert found.texts == 3**6
    assert found.kl > 0.1
    assert found.cross_entropy == pytest.approx(found.entropy + found.kl, rel=1e-6)
    single = identity(decoder(), source, 6, begin=BEGIN)
    assert single.cross_entropy == pytest.approx(single.entropy + single.kl, rel=1e-6)


def test_the_closed_form_is_the_sum_over_all_texts():
    total = 0.0
    for text in product(range(3), repeat=5):
        p = CHAIN.first_V[text[0]] * math.prod(CHAIN.next_VV[a, b] for a, b in pairwise(text))
        total -= p * math.log(p) if p else 0.0
    assert CHAIN.entropy(5) == pytest.approx(total, rel=1e-12)
    assert CHAIN.first_V @ CHAIN.next_VV == pytest.approx(CHAIN.first_V, abs=1e-12)
    assert Source.independent([0.5, 0.25, 0.25]).entropy_rate == pytest.approx(1.5 * math.log(2))


def test_samples_have_the_frequencies_of_the_source():
    ids = CHAIN.sample(4000, 8).numpy()
    assert np.bincount(ids.ravel()) / ids.size == pytest.approx(CHAIN.first_V, abs=0.015)
    after = ids[:, 1:][ids[:, :-1] == 0]
    assert np.bincount(after) / len(after) == pytest.approx(CHAIN.next_VV[0], abs=0.015)
    assert not ((ids[:, :-1] == 1) & (ids[:, 1:] == 0)).any()


def test_the_source_itself_as_a_model_has_no_kl():
    def rule(ids):
        shares = CHAIN.first_V if ids[-1] == BEGIN else CHAIN.next_VV[ids[-1]]
        return torch.tensor([*np.log(np.maximum(shares, 1e-30)), -1e9], dtype=torch.float64)

    found = identity(machine(rule, words=3), CHAIN, 4, begin=BEGIN)
    assert found.kl == pytest.approx(0, abs=1e-9)
    assert found.cross_entropy == pytest.approx(CHAIN.entropy(4) / 4)


def test_training_lowers_the_kl_and_the_entropy_stays():
    model = decoder(initializer_range=0.1)
    before = identity(model, CHAIN, 6, begin=BEGIN)
    rows = torch.cat([torch.full((4000, 1), BEGIN), CHAIN.sample(4000, 6)], dim=1)
    train(model, rows, 300, batch=64)
    after = identity(model, CHAIN, 6, begin=BEGIN)
    assert after.kl < 0.02 < 0.1 < before.kl
    assert after.entropy == before.entropy
    assert after.cross_entropy == pytest.approx(after.entropy + after.kl, rel=1e-6)


def test_sampled_contexts_agree_with_all_of_them():
    model = decoder(dtype=torch.float64)
    whole, some = identity(model, CHAIN, 6, begin=BEGIN), identity(model, CHAIN, 6, begin=BEGIN, texts=3000)
    assert not some.enumerated
    assert some.cross_entropy == pytest.approx(some.entropy + some.kl, rel=1e-12)
    assert some.kl == pytest.approx(whole.kl, rel=0.03)
    assert some.entropy == pytest.approx(whole.entropy, rel=0.03)
    assert identity(model, CHAIN, 40, begin=BEGIN, texts=20).length == 40


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1.0, 0.0], [0.0, 1.0]], "parts that never meet"),
        ([[0.5, 0.6], [0.5, 0.5]], "sum to 1"),
        ([0.5, 0.5], "square"),
    ],
)
def test_what_is_no_source_is_refused(matrix, message):
    with pytest.raises(SettingError, match=message):
        Source.markov(matrix)


def test_too_many_texts_are_refused():
    with pytest.raises(SettingError, match="sample contexts with texts="):
        identity(decoder(), CHAIN, 20, begin=BEGIN)
