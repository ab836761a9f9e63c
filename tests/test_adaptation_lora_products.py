"""Joined products of LoRA's maps against peft's own, one map after the other."""

import copy

import numpy as np
import pytest
import torch

from small_models import write_folder
from tokenworth.adaptation.route_settings import AdaptConfig
from tokenworth.adaptation.routes.lora import add_lora
from tokenworth.adaptation.training.lora_products import _kept, join_products
from tokenworth.backbones import load_backbone
from tokenworth.backbones.loading.quiet import quiet_transformers

IDS = torch.tensor([[4, 5, 6, 7, 8], [9, 8, 7, 6, 5]])


def adapted(folder, family, dtype, dropout=0.0, **peft):
    """A backbone with LoRA whose B is not zero."""
    backbone = load_backbone(str(write_folder(folder / f"{family}-{dtype}", family)), dtype=dtype)
    config = AdaptConfig(rank=4, alpha=6.0, lora_dropout=dropout, peft=peft)
    with quiet_transformers():
        add_lora(backbone.model, backbone.name, config, 0)
    torch.manual_seed(1)
    for name, weights in backbone.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.3)
    return backbone


def states_and_gradients(model, dtype):
    """Of every weight that learns, under autocast as in training."""
    model.zero_grad()
    with torch.autocast("cpu", dtype=getattr(torch, dtype), enabled=dtype != "float32"):
        states = model(input_ids=IDS).last_hidden_state
    weights = torch.sin(torch.arange(states.numel())).view(states.shape)
    (states.float() * weights).sum().backward()
    learning = {name: w.grad for name, w in model.named_parameters() if w.requires_grad}
    return {"states": states.detach().float(), **learning}


@pytest.mark.parametrize("family", ["llama", "bert", "albert", "opt"])
def test_without_dropout_states_and_gradients_are_those_of_peft(tmp_path, family):
    backbone = adapted(tmp_path, family, "float32")
    expected = states_and_gradients(backbone.model, "float32")
    groups = join_products(backbone)
    assert sum(map(len, groups)) == sum("lora_A" in name for name in expected)
    for name, found in states_and_gradients(backbone.model, "float32").items():
        error = (found - expected[name]).abs().max()
        assert error <= 1e-4 * expected[name].abs().max(), name


@pytest.mark.parametrize("family", ["llama", "bert", "opt"])
def test_in_bfloat16_they_are_as_near_to_float32_as_those_of_peft(tmp_path, family):
    backbone = adapted(tmp_path, family, "bfloat16")
    truth = states_and_gradients(copy.deepcopy(backbone.model).float(), "float32")
    pefts = states_and_gradients(backbone.model, "bfloat16")
    join_products(backbone)
    ours = states_and_gradients(backbone.model, "bfloat16")

    def error(found):
        apart = [torch.linalg.vector_norm(found[name] - x) / torch.linalg.vector_norm(x) for name, x in truth.items()]
        return float(torch.stack(apart).square().mean() ** 0.5)

    assert error(ours) <= 1.2 * error(pefts)


def test_maps_that_read_one_tensor_are_found(tmp_path):
    groups = join_products(adapted(tmp_path, "llama", "float32"))
    sizes = [len(group) for group in groups]
    assert sizes == [3, 1, 2, 1] * 3  # q, k, v; o; gate, up; down


def test_dropout_is_one_drawing_for_maps_of_one_input(tmp_path):
    backbone = adapted(tmp_path, "llama", "float32", dropout=0.25)
    group = join_products(backbone)[0]
    backbone.model.train()
    with torch.no_grad():
        for layer in group:  # so that the update shows the first four numbers of the input
            layer.lora_A["default"].weight.copy_(torch.eye(4, layer.in_features))
            layer.lora_B["default"].weight.copy_(torch.eye(layer.out_features, 4))
    x = torch.ones(1, 4000, group[0].in_features)

    def drawn(seed):
        torch.manual_seed(seed)
        with torch.no_grad():
            return [(layer(x) - layer.base_layer(x))[0, :, :4] / layer.scaling["default"] for layer in group]

    first, *others = drawn(5)
    assert all(torch.allclose(first, other, atol=1e-5) for other in others)
    assert torch.equal(first, drawn(5)[0])
    assert not torch.equal(first, drawn(6)[0])
    assert sorted(first.round(decimals=3).unique().tolist()) == pytest.approx([0, 4 / 3], abs=1e-3)
    assert float(first.mean()) == pytest.approx(1, abs=0.03)  # unbiased


@pytest.mark.parametrize("p", [0.05, 0.5])
def test_the_mask_has_the_chance_it_says(p):
    torch.manual_seed(0)
    mask, kept = _kept(torch.ones(1000, 501), p)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert abs(kept - (1 - p)) < 2**-16
    assert abs(float(mask.mean()) - kept) < 5 * (p * (1 - p) / mask.numel()) ** 0.5
    neighbours = ((mask[:, 1:] - kept) * (mask[:, :-1] - kept)).mean()
    assert abs(float(neighbours)) < 5 * p * (1 - p) / mask.numel() ** 0.5  # numbers of one draw are not alike


@pytest.mark.parametrize("peft", [{"use_dora": True}, {"use_rslora": True}], ids=str)
def test_other_forms_of_lora_keep_their_numbers(tmp_path, peft):
    backbone = adapted(tmp_path, "llama", "float32", **peft)
    expected = states_and_gradients(backbone.model, "float32")
    groups = join_products(backbone)
    assert bool(groups) is not peft.get("use_dora", False)
    for name, found in states_and_gradients(backbone.model, "float32").items():
        torch.testing.assert_close(found, expected[name], rtol=1e-3, atol=1e-4, msg=name)


def test_a_copy_computes_with_its_own_weights_and_merging_is_pefts(tmp_path):
    backbone = adapted(tmp_path, "llama", "float32")
    join_products(backbone)
    with torch.no_grad():
        before = backbone.model(input_ids=IDS).last_hidden_state
        twin = copy.deepcopy(backbone.model)
        for name, weights in twin.named_parameters():
            if "lora_B" in name:
                weights.zero_()
        assert not torch.allclose(twin(input_ids=IDS).last_hidden_state, before)
        assert torch.equal(backbone.model(input_ids=IDS).last_hidden_state, before)
        layers = [module for module in backbone.model.modules() if hasattr(module, "merge")]
        for layer in layers:
            layer.merge()
        merged = backbone.model(input_ids=IDS).last_hidden_state
    np.testing.assert_allclose(merged, before, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("inference", [False, True])
def test_a_model_may_change_in_place_what_its_maps_read_and_give(tmp_path, inference):
    """As peft's layers, one by one, allow it."""
    backbone = adapted(tmp_path, "llama", "float32")
    x = torch.randn(1, 3, backbone.width)

    def in_turn(layers):
        read, found = x * 1, []
        for layer in layers:
            found.append(layer(read).mul_(2))
            read += 1
        return torch.cat(found, -1)

    layers = [
        module for path, module in backbone.model.named_modules() if path.endswith(("q_proj", "k_proj", "v_proj"))
    ]
    with torch.inference_mode(inference):
        expected = in_turn(layers[:3])
        join_products(backbone)
        found = in_turn(layers[:3])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
