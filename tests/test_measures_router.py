"""Load of experts: against what the model's own routers chose, counted one by one."""

import math

import numpy as np
import pytest
import torch

from measured_models import random_decoder, texts
from tokenworth.errors import SettingError
from tokenworth.measures import router_load, rows_of
from tokenworth.measures.router import load_of

MIXTURE = {"num_key_value_heads": 4, "num_local_experts": 5, "num_experts_per_tok": 2}


def chosen_by_the_model(decoder, ids):
    """What every router returned, layer by layer: weights and experts of each token."""
    seen = []
    hooks = [
        layer.mlp.gate.register_forward_hook(lambda _module, _inputs, output: seen.append(output[1:]))
        for layer in decoder.model.model.layers
    ]
    with torch.no_grad():
        decoder.model(input_ids=ids)
    for hook in hooks:
        hook.remove()
    return seen


def test_the_load_is_that_of_a_slow_count():
    decoder = random_decoder("Mixtral", **MIXTURE)
    ids = rows_of(decoder, texts(12, 20), 16, most=12)
    rows = router_load(decoder, ids).layers()
    routed = chosen_by_the_model(decoder, ids)
    assert len(rows) == len(routed) == 2
    for row, (weights, experts) in zip(rows, routed, strict=True):
        count, weight = [0] * 5, [0.0] * 5
        for token in range(len(experts)):
            for place in range(2):
                count[experts[token, place]] += 1
                weight[experts[token, place]] += float(weights[token, place])
        load = [each / (12 * 16 * 2) for each in count]
        assert row["load"] == pytest.approx(load)
        assert row["gate"] == pytest.approx([each / (12 * 16) for each in weight], rel=1e-5)
        assert row["cv"] == pytest.approx(np.std(load) / 0.2)
        assert row["dead"] == count.count(0) / 5
        assert row["entropy"] == pytest.approx(-sum(p * math.log(p) for p in load if p) / math.log(5))


def test_parts_add_up():
    decoder = random_decoder("Mixtral", **MIXTURE)
    ids = rows_of(decoder, texts(10, 20), 12, most=10)
    whole, parts = router_load(decoder, ids), router_load(decoder, ids[:3]).merge(router_load(decoder, ids[3:]))
    assert whole.tokens == parts.tokens == 120
    np.testing.assert_allclose(whole.weight_LE, parts.weight_LE, rtol=1e-5)
    assert (whole.count_LE == parts.count_LE).all()


def test_one_expert_for_all_and_all_alike():
    alone = torch.zeros(1, 30, 4)
    alone[:, :, 2] = 50.0
    row = load_of(alone, 1).layers()[0]
    assert row["load"] == [0, 0, 1, 0]
    assert (row["cv"], row["dead"], row["entropy"]) == (pytest.approx(3**0.5), 0.75, 0)
    assert row["balance"] == pytest.approx(4)
    even = 50.0 * torch.eye(4).repeat(5, 1)[None]
    row = load_of(even, 1).layers()[0]
    assert (row["cv"], row["dead"], row["entropy"]) == (0, 0, pytest.approx(1))
    assert row["balance"] == pytest.approx(1)


def test_weights_that_are_not_divided():
    logits = torch.randn(1, 6, 4, generator=torch.Generator().manual_seed(0))
    found = load_of(logits, 2, divided=False)
    expected = logits.double().softmax(-1).topk(2).values.sum()
    assert found.weight_LE.sum() == pytest.approx(float(expected))


def test_a_dense_model_is_refused():
    decoder = random_decoder()
    with pytest.raises(SettingError, match="is dense"):
        router_load(decoder, torch.zeros(2, 8, dtype=torch.long))
