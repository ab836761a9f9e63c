"""What is kept is never taken for something else: models changed in memory, flipped bits, groups, older numbers."""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from passes import contents, run_pass
from planted import planted_task, with_parts
from routes import run
from small_models import write_folder
from tokenworth.adaptation import adapt
from tokenworth.backbones import load_backbone
from tokenworth.base.cell_store import content_key
from tokenworth.base.checksums import model_checksum
from tokenworth.base.run_record import OtherRunError
from tokenworth.encode import encode, tokenise
from tokenworth.errors import BackboneError, EncodeError
from tokenworth.study.grid import Cell
from tokenworth.study.study_store import cell_key
from tokenworth.tracing.trace_cells import Cells


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("model") / "llama", "llama")


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def loaded(request, model):
    return load_backbone(str(model), device="cpu", dtype=request.param)


# --- a model changed in memory: every change leaves the sum of all weights' bits as it was


def _swap_layers(model):
    layers = list(model.layers)
    model.layers = nn.ModuleList([layers[1], layers[0], layers[2]])


def _swap_weights(model):
    first, second = (model.layers[i].mlp.down_proj.weight for i in (0, 1))
    kept = first.detach().clone()
    first.data.copy_(second)
    second.data.copy_(kept)


def _permute_within(model):
    weights = model.layers[1].mlp.up_proj.weight
    weights.data.copy_(weights.detach().flip(0))


def _scale_buffer(model):
    model.rotary_emb.inv_freq *= 3.0


def _replace_module(model):
    model.layers[1].mlp.act_fn = nn.ReLU()


def _change_constant(model):
    model.norm.variance_epsilon = 1e4


def _hook(model):
    model.layers[0].register_forward_hook(lambda _module, _args, output: output * 1.5)


CHANGES = [_swap_layers, _swap_weights, _permute_within, _scale_buffer, _replace_module, _change_constant, _hook]


def _plain_states(backbone, texts):
    """Mean states of every layer by transformers alone, text by text."""
    found = []
    for ids in tokenise(backbone, texts).ids:
        with torch.no_grad():
            output = backbone.model(torch.from_numpy(ids)[None].long(), output_hidden_states=True)
        states = (*output.hidden_states[:-1], output.last_hidden_state)
        found.append(torch.stack([one[0].float().mean(0) for one in states]))
    return torch.stack(found, 1)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_features_are_those_of_the_model_as_it_is_now(loaded, tmp_path, change):
    parts = {"train": ["w1 w2 w3 w4", "w5 w6", "w7 w8 w9"], "test": ["w3 w2 w1"]}
    backbone = copy.deepcopy(loaded)
    before = run_pass(backbone, tmp_path, parts=parts)
    change(backbone.model)
    after = run_pass(backbone, tmp_path, parts=parts)
    assert not after.facts["reused"]
    truth = _plain_states(backbone, parts["train"])
    kept = torch.from_numpy(np.stack([after.part("train", layer) for layer in range(4)]))
    stale = torch.from_numpy(np.stack([before.part("train", layer) for layer in range(4)]))
    last = slice(3, None) if change is _hook else slice(None)  # transformers records states before a hook sees them
    tolerance = 4 * torch.finfo(backbone.dtype).eps
    assert (kept[last] - truth[last]).norm() <= tolerance * truth[last].norm()
    assert (stale[3] - truth[3]).norm() > 0.1 * truth[3].norm()


def test_a_model_that_is_left_alone_is_found_again(model, tmp_path):
    run_pass(model, tmp_path)
    backbone = load_backbone(str(shutil.copytree(model, tmp_path / "elsewhere")), device="cpu", dtype="float32")
    assert run_pass(backbone, tmp_path).facts["reused"]
    assert run_pass(backbone, tmp_path).facts["reused"]  # also after it was used


def test_a_model_with_somebodys_hook_is_never_looked_up(loaded, tmp_path):
    backbone = copy.deepcopy(loaded)
    _hook(backbone.model)
    assert not run_pass(backbone, tmp_path).facts["reused"]
    assert not run_pass(backbone, tmp_path).facts["reused"]


def test_the_checksum_sees_names_order_formats_and_buffers():
    def small(**attributes):
        module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        for i, layer in enumerate(module):
            layer.weight.data = torch.arange(4.0).reshape(2, 2) + i
            layer.bias.data.zero_()
        for name, value in attributes.items():
            setattr(module, name, value)
        return module

    kept = model_checksum(small())
    assert kept == model_checksum(small())
    other = [small(scale=2.0), small(scale=torch.ones(1)), small().double(), small()[:1], nn.ModuleList(small())]
    with_buffer = small()
    with_buffer.register_buffer("seen", torch.zeros(3), persistent=False)
    assert len({kept, *map(model_checksum, [*other, with_buffer])}) == 7


def test_a_block_taken_out_in_memory_is_said(loaded):
    backbone = copy.deepcopy(loaded)
    backbone.model.layers = backbone.model.layers[:2]
    backbone.model.config.num_hidden_layers = 2
    with pytest.raises(BackboneError, match="was changed in memory: it has 2 blocks of width 32 and had 3"):
        encode(backbone, tokenise(backbone, ["w1 w2"]), lambda *_: None)


def test_blocks_that_do_not_run_in_order_on_a_text_are_said(loaded):
    backbone = copy.deepcopy(loaded)
    first, second = backbone.model.layers[0], backbone.model.layers[1]
    first.forward, second.forward = (lambda states, **_: states), (lambda states, **_: first(states))
    with pytest.raises(EncodeError, match="do not run once each in their order on every text"):
        encode(backbone, tokenise(backbone, ["w1 w2"]), lambda *_: None)


# --- a damaged cache


def _flip(path: Path, place: float = 0.6) -> None:
    """One bit, in the body of the file."""
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize(
    "name",
    ["pass.json", "context-3.safetensors", *(f"shard-0-of-1/{name}" for name in ("mean.npy", "mean.json", "rows.npy"))],
)
@pytest.mark.parametrize("place", [0.05, 0.999], ids=["head", "end"])
def test_a_flipped_bit_is_noticed_and_the_pass_made_again(model, tmp_path, caplog, name, place):
    parts = {"train": ["w1 w2 w3 w4", "w5 w6", "w7 w8 w9"], "test": ["w3 w2 w1"]}
    whole = run_pass(model, tmp_path, parts=parts)
    truth = {key: tensor.clone() for key, tensor in contents(whole).items()}
    _flip(whole.entry.folder / name, place)
    again = run_pass(model, tmp_path, parts=parts)
    assert not again.facts["reused"]
    assert "a pass in the cache is damaged and is made again" in caplog.text
    for key, tensor in contents(again).items():
        assert (tensor == truth[key]).all(), key


def test_a_cell_of_a_trace_that_was_changed_is_measured_again(tmp_path):
    cells, made = Cells(tmp_path), []

    def make(_work):
        made.append(1)
        return {"f1": 0.8125}

    assert cells.once({"kind": "bow"}, make) == {"f1": 0.8125}
    (kept,) = (tmp_path / "cells").iterdir()
    kept.write_text(kept.read_text().replace("0.8125", "0.9125"))
    assert cells.once({"kind": "bow"}, make) == {"f1": 0.8125}
    assert cells.once({"kind": "bow"}, make) == {"f1": 0.8125}
    assert len(made) == 2


# --- groups belong to the task


def test_groups_are_part_of_a_task(tmp_path):
    plain = planted_task(40)
    groups = with_parts(plain, train={"groups": np.arange(40) // 4}, test={"groups": 100 + np.arange(60)})
    others = with_parts(plain, train={"groups": np.arange(40) // 2}, test={"groups": 100 + np.arange(60)})
    assert len({task.fingerprint for task in (plain, groups, others)}) == 3
    adapt(None, plain, "bow", out=tmp_path)
    with pytest.raises(OtherRunError, match="task was"):
        adapt(None, groups, "bow", out=tmp_path)


# --- numbers of two kinds are never mixed


def test_every_key_knows_the_version_of_the_numbers(model, tmp_path, monkeypatch):
    cell = Cell(task="t", backbone="b", route="lora", seed=0, settings={})

    def keys():
        features = run_pass(model, tmp_path / "store", parts={"train": ["w1 w2"], "test": ["w3"]})
        Cells(tmp_path / "trace").once({"kind": "bow"}, lambda _work: {})
        stages = content_key(["redact"])
        kept = len(list((tmp_path / "trace" / "cells").iterdir()))
        return features.facts["reused"], features.entry.folder.name, cell_key(cell, "t", "w"), stages, kept

    first = keys()
    assert keys() == (True, *first[1:])
    run(None, "bow", tmp_path / "run")
    for module in ("base.cell_store", "adaptation.storage.run_folder"):
        monkeypatch.setattr(f"tokenworth.{module}.NUMERICS", 10**6)
    second = keys()
    assert not second[0]
    assert second[1] != first[1]
    assert second[2] != first[2]
    assert second[3] != first[3]
    assert second[4] == 2
    with pytest.raises(OtherRunError, match="version of the numbers was"):
        run(None, "bow", tmp_path / "run")


def test_versions_of_the_numbers_stand_in_rows_of_their_own(tmp_path):
    result = adapt(None, planted_task(40), "bow", out=tmp_path)
    assert result.environment["numerics"] == json.loads((tmp_path / "run.json").read_text())["version of the numbers"]
