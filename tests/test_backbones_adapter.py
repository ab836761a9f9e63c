"""Folders with a LoRA adapter: merged into their base, said, part of the fingerprint; never on top of other weights."""

import json
import shutil

import pytest
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model

from small_models import write_folder
from tokenworth.backbones import account_of, load_backbone
from tokenworth.backbones.loading.loader import identity
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.errors import BackboneError

IDS = torch.tensor([[4, 9, 30, 31, 7, 5, 60, 12]])
CLASSES = {
    "CAUSAL_LM": transformers.AutoModelForCausalLM,
    "SEQ_CLS": transformers.AutoModelForSequenceClassification,
    None: transformers.AutoModel,
}


@pytest.fixture(autouse=True)
def _quiet():
    with quiet_transformers():
        yield


@pytest.fixture
def base(tmp_path):
    folder = write_folder(tmp_path / "base", "llama", pad_token_id=1)
    # A language model's folder, head included, as adapters are trained on.
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    model.save_pretrained(folder)
    return folder


def write_adapter(folder, base, *, task=None, named=None, pickled=False, **settings):
    """An adapter whose B is not zero, and the plain library's states of the adapted base."""
    model = CLASSES[task].from_pretrained(base)
    settings = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "down_proj"], "task_type": task, **settings}
    adapted = get_peft_model(model, LoraConfig(**settings)).eval()
    torch.manual_seed(3)
    for name, weights in adapted.named_parameters():
        if "lora_" in name:
            weights.data = 0.3 * torch.randn_like(weights)
    adapted.save_pretrained(folder, safe_serialization=not pickled)
    edit(folder / "adapter_config.json", base_model_name_or_path=str(base) if named is None else named)
    with torch.inference_mode():
        return adapted(input_ids=IDS, output_hidden_states=True).hidden_states


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def states(name, **options):
    backbone = load_backbone(str(name), device="cpu", **{"dtype": "float32", **options})
    with torch.inference_mode():
        return backbone, backbone.model(input_ids=IDS, output_hidden_states=True).hidden_states


def message(name, **options):
    with pytest.raises(BackboneError) as caught:
        load_backbone(str(name), dtype="float32", device="cpu", **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("task", list(CLASSES))
@pytest.mark.parametrize("more", [{}, {"use_dora": True}, {"use_rslora": True}], ids=["lora", "dora", "rslora"])
def test_states_are_those_of_the_adapted_base(base, tmp_path, task, more):
    expected = write_adapter(tmp_path / "adapter", base, task=task, **more)
    backbone, found = states(tmp_path / "adapter")
    for layer, (a, b) in enumerate(zip(found, expected, strict=True)):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5, msg=f"layer {layer}")  # a product in another order
    _, plain = states(base)
    assert (plain[-1] - found[-1]).norm() > 0.1 * plain[-1].norm()
    assert any("LoRA adapter of rank 4" in note and str(base) in note for note in backbone.notes)


def test_bfloat16_costs_an_adapted_model_what_it_costs_its_base(base, tmp_path):
    expected = write_adapter(tmp_path / "adapter", base, task="CAUSAL_LM")[-1]
    plain = states(base)[1][-1]
    adapted_error, base_error = (
        (states(name, dtype="bfloat16")[1][-1].float() - exact).norm() / exact.norm()
        for name, exact in ((tmp_path / "adapter", expected), (base, plain))
    )
    assert adapted_error < 4 * base_error < 0.15  # weights of a larger norm, rounded to 8 bits as the base's are


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`")
def test_adapted_head_predicts_as_the_library_does(base, tmp_path):
    write_adapter(tmp_path / "adapter", base, task="CAUSAL_LM", target_modules=["v_proj", "lm_head"])
    model = PeftModel.from_pretrained(transformers.AutoModelForCausalLM.from_pretrained(base), tmp_path / "adapter")
    backbone = load_backbone(str(tmp_path / "adapter"), dtype="float32", device="cpu", lm_head=True)
    with torch.inference_mode():
        expected = model.eval()(input_ids=IDS).logits
        found = backbone.lm_head(backbone.model(input_ids=IDS).last_hidden_state)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_encoder_with_a_classifier_of_its_own(tmp_path):
    base = write_folder(tmp_path / "bert", "bert")
    expected = write_adapter(tmp_path / "adapter", base, task="SEQ_CLS", target_modules=["query", "value"])
    torch.testing.assert_close(states(tmp_path / "adapter")[1][-1], expected[-1], rtol=1e-4, atol=1e-5)


def test_fingerprint_is_of_base_and_adapter(base, tmp_path):
    write_adapter(tmp_path / "adapter", base)
    first = load_backbone(str(tmp_path / "adapter"), dtype="float32").fingerprint
    assert first == identity(str(tmp_path / "adapter")) != identity(str(base))
    copy = shutil.copytree(base, tmp_path / "elsewhere")
    edit(tmp_path / "adapter" / "adapter_config.json", lora_alpha=9)
    assert identity(str(tmp_path / "adapter")) != first
    edit(tmp_path / "adapter" / "adapter_config.json", lora_alpha=8, base_model_name_or_path=str(copy))
    assert states(tmp_path / "adapter")[0].fingerprint == identity(str(tmp_path / "adapter"))


def test_random_twin_is_that_of_the_base(base, tmp_path):
    write_adapter(tmp_path / "adapter", base)
    twin = load_backbone(f"{tmp_path / 'adapter'}@random", dtype="float32")
    assert twin.fingerprint == load_backbone(f"{base}@random", dtype="float32").fingerprint
    assert twin.notes == ()


def test_account_is_that_of_the_base(base, tmp_path):
    write_adapter(tmp_path / "adapter", base)
    assert account_of(str(tmp_path / "adapter")).parameters == account_of(str(base)).parameters


def test_base_beside_the_adapter(base, tmp_path):
    expected = write_adapter(tmp_path / "adapter", base, named="../base")
    torch.testing.assert_close(states(tmp_path / "adapter")[1][-1], expected[-1], rtol=1e-4, atol=1e-5)


def test_a_folder_of_the_same_name_that_is_no_model_is_not_in_the_way(base, tmp_path, monkeypatch):
    """A relative path is that of the working folder only where a model lies there."""
    expected = write_adapter(tmp_path / "adapter", base, named="../base")
    for name in ("elsewhere/base", "elsewhere/work"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere" / "work")
    torch.testing.assert_close(states(tmp_path / "adapter")[1][-1], expected[-1], rtol=1e-4, atol=1e-5)


def test_base_that_cannot_be_had(base, tmp_path):
    write_adapter(tmp_path / "adapter", base, named="nobody/no-such-model")
    text = message(tmp_path / "adapter")
    for part in ("is an adapter for nobody/no-such-model", "cannot be had", "base_model_name_or_path"):
        assert part in text


@pytest.mark.parametrize("named", ["", "../adapter"])
def test_base_that_is_not_named(base, tmp_path, named):
    write_adapter(tmp_path / "adapter", base, named=named)
    assert "is an adapter that" in message(tmp_path / "adapter")


def test_adapter_of_another_base(base, tmp_path):
    other = write_folder(tmp_path / "gpt2", "gpt2")
    write_adapter(tmp_path / "adapter", base, named=str(other))
    text = message(tmp_path / "adapter")
    assert "changes layers.0.mlp.down_proj" in text
    assert str(other) in text


def test_adapter_of_another_width(base, tmp_path):
    other = write_folder(tmp_path / "wide", "llama", hidden_size=64)
    write_adapter(tmp_path / "adapter", base, named=str(other))
    assert "does not fit its base" in message(tmp_path / "adapter")


def test_adapter_of_another_kind(base, tmp_path):
    write_adapter(tmp_path / "adapter", base)
    edit(tmp_path / "adapter" / "adapter_config.json", peft_type="IA3")
    assert "IA3" in message(tmp_path / "adapter")


def test_adapter_without_weights(base, tmp_path):
    write_adapter(tmp_path / "adapter", base)
    (tmp_path / "adapter" / "adapter_model.safetensors").unlink()
    assert "adapter without weights" in message(tmp_path / "adapter")


def test_pickled_adapter_only_with_the_flag(base, tmp_path):
    expected = write_adapter(tmp_path / "adapter", base, task="CAUSAL_LM", pickled=True)
    assert "--allow-pickle" in message(tmp_path / "adapter")
    found = states(tmp_path / "adapter", allow_pickle=True)[1]
    torch.testing.assert_close(found[-1], expected[-1], rtol=1e-4, atol=1e-5)


def test_adapter_beside_other_weights_is_left_aside_and_said(base, tmp_path):
    plain, before = states(base)
    write_adapter(tmp_path / "adapter", base)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(tmp_path / "adapter" / name, base)
    backbone, found = states(base)
    assert torch.equal(found[-1], before[-1])
    assert backbone.fingerprint == plain.fingerprint
    assert any("left aside" in note for note in backbone.notes)
