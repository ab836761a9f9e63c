"""Exposure bias: against a loop token by token, 0 for a perfect model, and what it says of settings and files."""

from itertools import accumulate

import numpy as np
import pytest
import torch

from measured_models import machine, random_decoder, slow_nll, texts
from tokenworth.errors import SettingError
from tokenworth.measures import measure_exposure, rows_of
from tokenworth.measures.exposure import doubling
from tokenworth.measures.loaded_decoder import continued, token_nll
from tokenworth.measures.loss_by_position import equal
from tokenworth.measures.sample_intervals import mean_interval, share_interval


def test_every_place_is_the_loss_of_a_pass_of_its_own():
    decoder, documents = random_decoder(), texts(6, 24)
    found = measure_exposure(decoder, documents, prefixes=(4, 9), continuation=5, start=2, seed=3)
    gold = rows_of(decoder, documents, 14, most=200, seed=3)
    uniform = torch.rand(len(gold), 7, generator=torch.Generator().manual_seed(3))
    own = slow_samples(decoder, gold[:, :2], uniform)
    other = [[*gold[i, :2].tolist(), *gold[i - 1, 2:].tolist()] for i in range(len(gold))]
    for prefix in (4, 9):
        for row in (row for row in found.continuation if row["prefix"] == prefix):
            places = range(prefix + row["first"] - 1, prefix + row["last"])
            for name, before in (("gold", gold.tolist()), ("own", own), ("other", other)):
                expected = np.mean([
                    slow_nll(decoder, before[i][:prefix] + gold[i, prefix:].tolist(), at)
                    for i in range(len(gold)) for at in places
                ])  # fmt: skip
                assert row[name] == pytest.approx(expected, rel=1e-5)
            assert row["own_minus_gold"] == pytest.approx(row["exposure"] + row["mismatch"])
    for row in found.drift:
        sampled = np.mean([slow_nll(decoder, ids, at) for ids in own for at in range(row["first"] - 1, row["last"])])
        assert row["sampled"] == pytest.approx(sampled, rel=1e-5)
        assert row["drift"] == pytest.approx(row["sampled"] - row["gold"], abs=1e-9)


def slow_samples(decoder, first, uniform):
    """The token at which the running sum of probabilities passes the number."""
    rows = first.tolist()
    for row, numbers in zip(rows, uniform.tolist(), strict=True):
        for number in numbers:
            with torch.no_grad():
                shares = decoder.model(input_ids=torch.tensor([row])).logits[0, -1].double().softmax(-1).tolist()
            row.append(next(token for token, total in enumerate(accumulate(shares)) if total > number))
    return rows


def test_a_sample_does_not_depend_on_its_batch():
    decoder = random_decoder()
    first, uniform = torch.zeros(5, 1, dtype=torch.long), torch.rand(5, 20, generator=torch.Generator().manual_seed(0))
    whole = continued(decoder, first, 20, uniform)
    alone = torch.cat([continued(decoder, first[i : i + 1], 20, uniform[i : i + 1]) for i in range(5)])
    assert torch.equal(whole, alone)
    assert whole[:, 1:].unique(dim=0).shape[0] == 5
    assert torch.equal(continued(decoder, first, 20), continued(decoder, first, 20))


def test_a_perfect_model_has_neither_exposure_bias_nor_drift():
    """Documents are drawn from the model itself: whatever it writes is as good to read as the real thing."""
    decoder = random_decoder(seed=1)
    uniform = torch.rand(150, 45, generator=torch.Generator().manual_seed(11))
    rows = continued(decoder, torch.zeros(150, 1, dtype=torch.long), 45, uniform)
    documents = [" ".join(f"w{max(i - 1, 0)}" for i in row[1:]) for row in rows.tolist()]
    found = measure_exposure(decoder, documents, prefixes=(12,), continuation=31)
    inside = [row["exposure_low"] <= 0 <= row["exposure_high"] for row in found.continuation]
    assert sum(inside) >= len(inside) - 1
    assert all(row["mismatch"] > 0 for row in found.continuation[:3])


def test_text_that_leads_astray_is_seen():
    """A model that now and then repeats a word, and then forgets what comes next: real text never repeats one."""

    def rule(ids):
        logits = torch.zeros(61)
        repeated = len(ids) > 1 and bool((ids[1:] == ids[:-1]).any())
        if ids[-1] != 0:
            logits[ids[-1] % 60 + 1] = 0.0 if repeated else 6.0
            logits[ids[-1]] = 4.0
        return logits

    documents = [" ".join(f"w{(i + j) % 60}" for j in range(40)) for i in range(30)]
    found = measure_exposure(machine(rule), documents, prefixes=(16,), continuation=8)
    assert all(row["exposure_low"] > 0.1 for row in found.continuation[1:])


def test_the_reference_judges_both():
    decoder, judge, documents = random_decoder(), random_decoder(seed=5), texts(5, 20)
    found = measure_exposure(decoder, documents, prefixes=(8,), continuation=4, reference=judge)
    gold = rows_of(decoder, documents, 12, most=200)[:, :8]
    expected = token_nll(judge, gold)[:, found.drift[1]["first"] - 2 : found.drift[1]["last"] - 1].mean()
    assert found.drift[1]["reference_gold"] == pytest.approx(expected)
    assert {"reference_sampled", "reference_drift_low"} <= set(found.drift[0])
    with pytest.raises(SettingError, match="has other tokens"):
        measure_exposure(decoder, documents, prefixes=(8,), reference=machine(lambda ids: torch.zeros(9), words=8))


def test_the_same_seed_gives_the_same_numbers():
    decoder, documents = random_decoder(), texts(8, 30)
    one, same, other = (measure_exposure(decoder, documents, prefixes=(8,), continuation=4, seed=s) for s in (1, 1, 2))
    assert one == same
    assert one != other


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prefixes": (1,)}, "longer than"),
        ({"prefixes": ()}, "longer than"),
        ({"prefixes": (300,)}, "the longest has 21"),
    ],
)
def test_what_cannot_be_measured_is_refused(settings, message):
    with pytest.raises(SettingError, match=message):
        measure_exposure(random_decoder(), texts(4, 20), **settings)


def test_a_table_of_positions_ends():
    decoder = random_decoder("GPT2", max_position_embeddings=16)
    with pytest.raises(SettingError, match="has positions for 16 tokens"):
        measure_exposure(decoder, texts(4, 60), prefixes=(8,), continuation=32)


def test_pieces_of_long_documents_follow_where_documents_are_few():
    decoder = random_decoder()
    rows = rows_of(decoder, texts(2, 25), 11, most=10)
    assert rows.shape == (4, 11)
    assert (rows[:, 0] == 0).all()
    assert rows_of(decoder, texts(9, 25), 11, most=5).shape == (5, 11)


def test_ranges_cover_every_position_once():
    for ranges in (doubling(37), equal(37, 5), equal(3, 16)):
        assert [at for first, end in ranges for at in range(first, end)] == list(range(ranges[-1][1]))
    assert doubling(7) == [(0, 1), (1, 3), (3, 7)]
    assert doubling(8) == [(0, 1), (1, 3), (3, 8)]


def test_intervals():
    values = np.random.default_rng(0).normal(3, 1, 400)
    mean, low, high = mean_interval(values)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    assert low < mean < high
    assert np.isnan(mean_interval(np.array([1.0]))[1])
    low, high = share_interval(0, 50)
    assert (low, high) == (0.0, pytest.approx(0.0713, abs=1e-4))
    low, high = share_interval(8, 10)  # both solve |p' - p| = z sqrt(p (1 - p) / n)
    for end in (low, high):
        assert abs(0.8 - end) == pytest.approx(1.959964 * (end * (1 - end) / 10) ** 0.5, rel=1e-6)
