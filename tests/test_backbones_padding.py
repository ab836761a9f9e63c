"""Models whose states depend on what shares a batch with a text, and models that a text changes for good."""

import copy

import numpy as np
import pytest
import torch

from architectures import Architecture
from conformance_checks import batches_agree, pooled, states_agree, token_ids
from planted import planted_task
from small_models import write_folder
from tokenworth.adaptation import adapt, load_classifier
from tokenworth.adaptation.training.batch_cuts import Prices, StepCost, plan_groups
from tokenworth.backbones import load_backbone
from tokenworth.backbones.structure.module_state import ModuleState
from tokenworth.encode import plan_batches
from tokenworth.errors import BackboneError
from windowed_models import write_windowed

READERS = ("fnet", "mobilebert", "convbert", "big_bird")


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [(kind, "float32") for kind in READERS] + [("mobilebert", "bfloat16"), ("big_bird", "bfloat16")],
)
def test_states_do_not_depend_on_the_batch(tmp_path, kind, dtype):
    folder = write_windowed(tmp_path, kind)
    backbone = load_backbone(folder, dtype=dtype)
    assert backbone.structure.reads_padding
    assert any("of one length share a pass" in note for note in backbone.notes)
    for check in (states_agree, batches_agree):
        agreement = check(folder, dtype)
        assert agreement.apart <= agreement.bound


def test_a_format_that_a_model_does_not_compute_in_is_one_sentence(tmp_path):
    """FNet's Fourier transform knows no bfloat16."""
    with pytest.raises(BackboneError, match=r"does not run in bfloat16; choose --dtype float32"):
        load_backbone(write_windowed(tmp_path, "fnet"), dtype="bfloat16")


@pytest.mark.parametrize("family", ["llama", "bert", "modernbert", "longformer", "albert"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_most_models_share_batches(tmp_path, family, dtype):
    assert not load_backbone(str(write_folder(tmp_path, family)), dtype=dtype).structure.reads_padding


def test_looking_at_a_model_does_not_change_it(tmp_path):
    """BigBird goes over to whole attention, for good, when it meets a text of less than 7 blocks; a probe is."""
    folder = write_windowed(tmp_path, "big_bird")
    backbone = load_backbone(folder, dtype="float32")
    assert backbone.model.attention_type == "block_sparse"
    assert {layer.attention_type for layer in backbone.model.encoder.layer} == {"block_sparse"}
    ids = token_ids(backbone, (40, 4))
    first = pooled(backbone, ids)
    pooled(backbone, ids[1:])
    pooled(backbone, ids[1:], 0)  # this pass is left before its end
    np.testing.assert_array_equal(pooled(backbone, ids), first)
    whole = load_backbone(
        write_windowed(tmp_path / "whole", "big_bird", attention_type="original_full"), dtype="float32"
    )
    apart = np.linalg.norm(pooled(whole, ids)[0] - first[0]) / np.linalg.norm(first[0])
    assert apart > 0.01  # it would matter


def test_a_copy_is_put_back_into_its_own_state(tmp_path):
    backbone = load_backbone(write_windowed(tmp_path, "big_bird"), dtype="float32")
    twin = copy.deepcopy(backbone.model)
    with torch.inference_mode():
        twin(input_ids=torch.tensor([[5, 6, 7]]))
    assert twin.attention_type == "block_sparse"
    assert twin.encoder.layer[0].attention.self is not backbone.model.encoder.layer[0].attention.self


def test_a_state_is_put_back_unless_weights_went_with_it():
    layer = torch.nn.Sequential(torch.nn.Linear(2, 2))
    layer.scaled, layer.limit = False, 3
    state, part = ModuleState(layer), layer[0]
    assert not state.put_back()
    layer.scaled, layer[0] = True, torch.nn.Linear(2, 2)
    assert state.put_back()
    assert layer[0] is part
    assert not layer.scaled
    layer.scaled = True
    with torch.no_grad():
        part.weight.div_(2)
    assert not state.put_back()
    assert layer.scaled


@pytest.mark.parametrize("kind", ["fnet", "mobilebert"])
def test_training_and_prediction_take_texts_of_one_length(tmp_path, kind):
    """Scores of a text are the same alone and among others, and so is the gradient of a batch."""
    folder = write_windowed(tmp_path / "model", kind)
    task = planted_task(40)
    config = {"steps": 3, "batch": 8, "dtype": "float32"}
    adapt(folder, task, "full", out=tmp_path / "run", config=config)
    predictor = load_classifier(tmp_path / "run").predictor
    together = predictor.scores(task.test.texts)
    alone = np.concatenate([predictor.scores([text]) for text in task.test.texts])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-3)


def test_batches_of_one_length():
    lengths = np.array([5, 3, 5, 5, 3, 1])
    batches = plan_batches(lengths, 10, one_length=True)
    assert [batch.tolist() for batch in batches] == [[0, 2], [3], [1, 4], [5]]
    groups = plan_groups(
        np.array([5, 4, 3, 2, 1, 0]), lengths, Prices(StepCost(1, 1, 0), 1.0), most=2, packing=True, one_length=True
    )
    assert [group.rows.tolist() for group in groups] == [[5], [4, 1], [3, 2], [0]]
    assert not any(group.packed for group in groups)


@pytest.mark.parametrize(("kind", "said"), [("fnet", "depend on padding"), ("xlm", "batches were padded: 1.")])
def test_what_is_not_packed_says_its_price(tmp_path, kind, said):
    folder = write_windowed(tmp_path / "model", kind)
    result = adapt(folder, planted_task(30), "full", config={"steps": 2, "batch": 4, "dtype": "float32"})
    assert not result.facts["packs"]
    assert any(said in note for note in result.notes)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_padding_ids_within_a_text_are_read(tmp_path, dtype):
    """Flaubert tells padding by the ids where it gets no mask; the token that ends its texts may be the padding one."""
    Architecture("flaubert").write(tmp_path / "model")
    backbone = load_backbone(str(tmp_path / "model"), dtype=dtype, device="cpu")
    ids = [np.array([0, 5, 9, 2], np.int32), np.array([0, 7, 2, 8, 6, 2], np.int32)]
    assert backbone.model.pad_index in ids[0], "the case that is meant"
    together, alone = (pooled(backbone, part) for part in (ids, ids[:1]))
    np.testing.assert_allclose(together[0], alone[0], atol=1e-5 if dtype == "float32" else 0.05)


def test_a_model_that_was_trained_is_put_back_too(tmp_path):
    """A run's own predictions are those of the classifier that is loaded again: BigBird keeps its sparse attention."""
    folder = Architecture("big_bird").write(tmp_path / "model")
    task = planted_task(16, 8)
    settings = {"steps": 2, "lr": 1e-3, "batch": 8, "mislabelled": False, "dtype": "float32"}
    for route in ("full", "lora"):
        result = adapt(str(folder), task, route, out=tmp_path / route, config=settings, device="cpu")
        again = load_classifier(tmp_path / route, device="cpu").predict_proba(list(task.test.texts))
        np.testing.assert_allclose(again[:, 0], result.predictions["p_class 0"], atol=1e-5)
