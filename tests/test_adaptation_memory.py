"""Memory of training as it is counted without weights, against what a real forward pass keeps."""

import numpy as np
import pytest
import torch
from torch import nn

from routes import model_at
from tokenworth.adaptation import AdaptConfig
from tokenworth.adaptation.forecast.route_forecast import forecast_route, untrained
from tokenworth.adaptation.forecast.training_memory import count_memory
from tokenworth.adaptation.recommended_settings import as_published
from tokenworth.adaptation.routes.lora import add_lora
from tokenworth.backbones import load_backbone
from tokenworth.backbones.loading.quiet import quiet_transformers

CONFIG = AdaptConfig(rank=4, steps=3, mislabelled=False)
NO_DROPOUT = {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}


def network(name, route):
    """The network as it trains, with its weights."""
    model = load_backbone(name, dtype="float32").model
    model.requires_grad_(route == "full")
    if route == "lora":
        with quiet_transformers():
            add_lora(model, name, CONFIG, 0)
    return model.train()


def really_kept(model, n_texts, length):
    """Bytes of the storages that the backward pass will read, weights apart."""
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    found = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        found[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(input_ids=torch.ones(n_texts, length, dtype=torch.long))
    return sum(storage.nbytes() for place, storage in found.items() if place not in own)


@pytest.mark.parametrize(
    ("family", "changes", "route"),
    [
        ("llama", {}, "full"),
        ("llama", {}, "lora"),
        ("gpt2", {}, "lora"),
        ("gpt2", NO_DROPOUT, "full"),
        ("bert", {}, "full"),
    ],
)
def test_activations_are_those_that_a_pass_keeps(tmp_path, family, changes, route):
    """Attention is fused without dropout; with it, a processor keeps a matrix of pairs of tokens a head."""
    name = model_at(tmp_path, family, **changes)
    held = count_memory(*untrained(name, route, CONFIG, 2))
    assert (held.kept.pair == 0) == (family == "llama" or changes == NO_DROPOUT)
    model = network(name, route)
    for n_texts, length in [(1, 36), (3, 20)]:
        found = held.kept.padded(np.full(n_texts, length))
        assert found == pytest.approx(really_kept(model, n_texts, length), rel=0.1)


def test_the_count_leaves_the_model_as_it_was(tmp_path):
    model, head = untrained(model_at(tmp_path), "lora", CONFIG, 2)
    learns = [weights.requires_grad for weights in model.parameters()]
    count_memory(model, head)
    assert not model.training
    assert [weights.requires_grad for weights in model.parameters()] == learns
    assert all(weights.grad is None for weights in model.parameters())


def test_what_learns_has_a_gradient_and_what_is_frozen_may_be_narrow(tmp_path):
    name = model_at(tmp_path)
    model, head = untrained(name, "full", CONFIG, 2)
    whole = sum(weights.numel() for weights in (*model.parameters(), *head.parameters()))
    assert count_memory(model, head).state == 8 * whole
    assert count_memory(model, head, bytes_a_number=2).state == 8 * whole, "weights that learn are wide everywhere"
    model, head = untrained(name, "lora", CONFIG, 2)
    learns = sum(weights.numel() for weights in (*model.parameters(), *head.parameters()) if weights.requires_grad)
    frozen = sum(weights.numel() for weights in model.parameters() if not weights.requires_grad)
    maps = [module.weight for module in model.modules() if isinstance(module, nn.Linear)]
    narrow = sum(weights.numel() for weights in maps if not weights.requires_grad)
    assert 0 < narrow < frozen
    assert count_memory(model, head).state == 8 * learns + 4 * frozen
    assert count_memory(model, head, bytes_a_number=2).state == 8 * learns + 2 * frozen
    quantised = count_memory(model, head, bytes_a_number=2, bits=4)
    assert quantised.state == 8 * learns + 2 * (frozen - narrow) + narrow / 2


def test_a_card_fuses_attention_with_dropout_too(tmp_path):
    model, head = untrained(model_at(tmp_path, "gpt2"), "full", CONFIG, 2)
    here, there = count_memory(model, head), count_memory(model, head, bytes_a_number=2, device="cuda")
    assert here.kept.pair > there.kept.pair == 0
    assert there.kept.token == pytest.approx(here.kept.token / 2)


def test_a_forecast_has_the_largest_pass_and_the_least(tmp_path):
    """Without packing eight texts share a pass; one of them alone is the least."""
    name, lengths_N = model_at(tmp_path), np.array([36, *[4] * 31])
    config = as_published(AdaptConfig(rank=4, steps=4, packing=False))
    found = forecast_route(name, "lora", config, 2, lengths_N, lengths_N, 1e9)
    held = count_memory(*untrained(name, "lora", config, 2))
    assert found.memory_bytes == round(held.of(np.full(8, 36)))
    assert found.least_memory_bytes == round(held.of(np.array([36])))
    assert held.of(np.full(8, 36)) == pytest.approx(held.state + 8 * 36 * held.kept.token)


def test_a_forecast_has_the_best_weights_and_every_evaluation(tmp_path):
    """Where the best step is kept: what learns once more in main memory and in a checkpoint, and ten evaluations."""
    name, lengths_N = model_at(tmp_path), np.full(100, 8)
    last, best = (
        forecast_route(
            name, "lora", as_published(AdaptConfig(rank=4, steps=20, selection=how)), 2, lengths_N, lengths_N, 1e9
        )
        for how in ("last", "lowest_loss")
    )
    assert best.memory_bytes == last.memory_bytes + 4 * last.trainable
    assert best.checkpoint_bytes == 2 * last.checkpoint_bytes
    assert best.evaluate_flops == pytest.approx(last.evaluate_flops * (200 + 10 * 10) / 200), "a tenth, ten times"
    assert best.train_flops == last.train_flops
