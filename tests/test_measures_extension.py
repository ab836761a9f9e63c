"""Longer context: the angles a loaded model really uses are those of the formulas, and the weights are untouched."""

import math

import pytest
import torch
import transformers
from safetensors.torch import load_file

from measured_models import SMALL, random_decoder
from tokenworth.errors import SettingError
from tokenworth.measures import extend_checkpoint, extended, load_decoder
from tokenworth.pretraining.context_extension import ntk_base

D, CONTEXT, FACTOR = 32, 256, 4.0


@pytest.fixture
def folder(tmp_path):
    decoder = random_decoder(num_attention_heads=2, hidden_size=64, max_position_embeddings=CONTEXT)
    decoder.model.save_pretrained(tmp_path / "model")
    decoder.tokenizer.model_max_length = CONTEXT
    decoder.tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def slow_angles(method, base=10_000.0):
    """Turn of each pair at one position, and what multiplies cos and sin; d = 32 numbers a head."""
    plain = [base ** (-2 * i / D) for i in range(D // 2)]
    if method == "linear":
        return [w / FACTOR for w in plain], 1.0
    if method == "ntk":
        return [(base * FACTOR ** (D / (D - 2))) ** (-2 * i / D) for i in range(D // 2)], 1.0
    if method == "base":
        return [500_000.0 ** (-2 * i / D) for i in range(D // 2)], 1.0
    # yarn: the pair whose wave fits n times into the trained context is i = d ln(L / (2 pi n)) / (2 ln base)
    fast, slow = (D * math.log(CONTEXT / (2 * math.pi * n)) / (2 * math.log(base)) for n in (32, 1))
    low, high = max(math.floor(fast), 0), min(math.ceil(slow), D - 1)
    found = []
    for i, w in enumerate(plain):
        kept = 1 - min(max((i - low) / (high - low), 0), 1)
        found.append((1 - kept) * w / FACTOR + kept * w)
    return found, 0.1 * math.log(FACTOR) + 1


@pytest.mark.parametrize("method", ["linear", "ntk", "base", "yarn"])
def test_the_loaded_model_turns_by_the_formula(folder, tmp_path, method):
    base = 500_000.0 if method == "base" else None
    found = extend_checkpoint(folder, tmp_path / "long", factor=FACTOR, method=method, base=base)
    assert (found.context_before, found.context) == (CONTEXT, 4 * CONTEXT)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "long")
    angles, scale = slow_angles(method)
    for position in (1, 7, 900):
        cos, sin = model.model.rotary_emb(torch.zeros(1), torch.tensor([[position]]))
        expected = torch.tensor([position * w for w in angles] * 2, dtype=torch.float64)
        torch.testing.assert_close(
            cos[0, 0].double(), expected.cos() * scale, atol=2e-4, rtol=0
        )  # float32 angles to 900
        torch.testing.assert_close(sin[0, 0].double(), expected.sin() * scale, atol=2e-4, rtol=0)


@pytest.mark.parametrize("method", ["linear", "ntk", "yarn"])
def test_other_angles_give_other_logits(folder, tmp_path, method):
    """Nothing but the angles changed, so this is what shows that they are used."""
    extend_checkpoint(folder, tmp_path / "long", method=method)
    ids = torch.arange(1, 50)[None]
    before, after = (load_decoder(str(path)).model(input_ids=ids).logits for path in (folder, tmp_path / "long"))
    assert torch.allclose(before[:, 0], after[:, 0], atol=1e-4)  # position 0 is turned by nothing
    assert not torch.allclose(before[:, 1:], after[:, 1:], atol=1e-3)


def test_weights_and_tokenizer_stay(folder, tmp_path):
    extend_checkpoint(folder, tmp_path / "long")
    old, new = (load_file(path / "model.safetensors") for path in (folder, tmp_path / "long"))
    assert all(torch.equal(old[name], new[name]) for name in old)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "long")
    assert tokenizer("w3 w4")["input_ids"] == [4, 5]
    assert tokenizer.model_max_length == 4 * CONTEXT
    decoder = load_decoder(str(tmp_path / "long"))
    assert (decoder.context, decoder.trained) == (4 * CONTEXT, CONTEXT)
    extend_checkpoint(folder, tmp_path / "squeezed", method="linear")
    assert load_decoder(str(tmp_path / "squeezed")).trained == CONTEXT


def test_the_slowest_pair_is_slowed_down_by_the_factor():
    slowest = -(D - 2) / D
    assert ntk_base(10_000, 4, D) ** slowest == pytest.approx(10_000**slowest / 4)
    with pytest.raises(SettingError, match="one pace alone"):
        ntk_base(10_000, 4, 2)


def test_the_configuration_itself_is_left_alone():
    config = transformers.LlamaConfig(**SMALL)
    before = config.to_dict()
    longer = extended(config, 2.0, "yarn")
    assert config.to_dict() == before
    assert longer.rope_parameters["original_max_position_embeddings"] == 64
    assert longer.max_position_embeddings == 128


def test_the_trained_length_may_be_told():
    """Configurations often state more than a model has ever read."""
    longer = extended(transformers.LlamaConfig(**SMALL), 4.0, "yarn", trained=16)
    assert longer.rope_parameters["original_max_position_embeddings"] == 16
    assert longer.max_position_embeddings == 64


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "magic"}, "choose from yarn, ntk, linear, base"),
        ({"factor": 1.0}, "makes no context longer"),
        ({"method": "base"}, "needs one"),
        ({"trained": 1}, "no context to make longer"),
        ({"method": "ntk", "base": 1e6}, "needs one"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(SettingError, match=message):
        extended(transformers.LlamaConfig(**SMALL), **{"factor": 4.0, **settings})


def test_models_without_rotary_positions_are_refused():
    with pytest.raises(SettingError, match="gpt2 has no rotary positions"):
        extended(transformers.GPT2Config(n_embd=32, n_head=4, n_layer=2), 4.0)


def test_what_is_scaled_already_is_refused(folder, tmp_path):
    extend_checkpoint(folder, tmp_path / "long")
    with pytest.raises(SettingError, match=r"already scaled \(yarn, factor 4.0\)"):
        extend_checkpoint(tmp_path / "long", tmp_path / "longer")
    with pytest.raises(SettingError, match="is the model itself"):
        extend_checkpoint(folder, folder)
