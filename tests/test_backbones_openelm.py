"""OpenELM against a slow forward pass written apart, and everything a transformers model is expected to do."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification

from small_models import write_tokenizer
from tokenworth.backbones import CATALOG, load_backbone
from tokenworth.backbones.architectures import register_architectures
from tokenworth.backbones.architectures.openelm.configuration import OpenELMConfig, round_to
from tokenworth.encode import encode, tokenise

SIZES = {
    "vocab_size": 64,
    "model_dim": 32,
    "head_dim": 8,
    "num_transformer_layers": 3,
    "num_gqa_groups": 2,
    "qkv_multipliers": [0.5, 1.5],
    "ffn_multipliers": [0.5, 2.0],
    "ffn_dim_divisor": 8,
    "normalize_qk_projections": True,
    "share_input_output_layers": True,
    "max_context_length": 40,
}


@pytest.fixture(scope="module", autouse=True)
def known():
    register_architectures()
    register_architectures()


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(OpenELMConfig(**SIZES)).eval()
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(0.1 * torch.randn_like(weights))  # norms off their neutral 1
    return model


@pytest.fixture
def ids():
    return torch.randint(0, 64, (2, 9), generator=torch.Generator().manual_seed(1))


# --- a slow forward pass: one token, one head, one pair at a time, from the published tensor names


def norm(x, weight, eps=1e-6):
    return x / math.sqrt(sum(float(value) ** 2 for value in x) / len(x) + eps) * weight


def turned(x, position, base=10_000):
    half = len(x) // 2
    out = x.clone()
    for i in range(half):
        angle = position * base ** (-2 * i / len(x))
        out[i] = x[i] * math.cos(angle) - x[i + half] * math.sin(angle)
        out[i + half] = x[i + half] * math.cos(angle) + x[i] * math.sin(angle)
    return out


def attention(states, w, layer, heads, kv_heads, width):
    rows = [w[f"{layer}.attn.qkv_proj.weight"] @ norm(h, w[f"{layer}.attn_norm.weight"]) for h in states]
    parts = [row.reshape(heads + 2 * kv_heads, width) for row in rows]
    mixed = []
    for t, own in enumerate(parts):
        out = []
        for head in range(heads):
            shared = head // (heads // kv_heads)
            query = turned(norm(own[head], w[f"{layer}.attn.q_norm.weight"]), t)
            scores = []
            for s in range(t + 1):
                key = turned(norm(parts[s][heads + shared], w[f"{layer}.attn.k_norm.weight"]), s)
                scores.append(float(query @ key) / math.sqrt(width))
            shares = torch.tensor(scores, dtype=query.dtype).softmax(0)
            out.append(sum(shares[s] * parts[s][heads + kv_heads + shared] for s in range(t + 1)))
        mixed.append(w[f"{layer}.attn.out_proj.weight"] @ torch.cat(out))
    return mixed


def feed_forward(h, w, layer):
    both = w[f"{layer}.ffn.proj_1.weight"] @ norm(h, w[f"{layer}.ffn_norm.weight"])
    gate, linear = both[: len(both) // 2], both[len(both) // 2 :]
    return w[f"{layer}.ffn.proj_2.weight"] @ (gate / (1 + torch.exp(-gate)) * linear)


def slow_logits(weights, config, text):
    w = {name.removeprefix("transformer.").removeprefix("layers."): t.double() for name, t in weights.items()}
    states = [w["token_embeddings.weight"][token] for token in text]
    for layer in range(config.num_transformer_layers):
        heads, kv_heads = config.num_query_heads[layer], config.num_kv_heads[layer]
        mixed = attention(states, w, layer, heads, kv_heads, config.head_dim)
        states = [h + m for h, m in zip(states, mixed, strict=True)]
        states = [h + feed_forward(h, w, layer) for h in states]
    return torch.stack([w["token_embeddings.weight"] @ norm(h, w["norm.weight"]) for h in states])


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_forward_equals_the_slow_one(model, ids, attention):
    config = model.config
    assert (config.num_query_heads, config.num_kv_heads) == ([2, 4, 6], [1, 2, 3])
    model.set_attn_implementation(attention)
    with torch.no_grad():
        found = model(ids).logits
    model.set_attn_implementation("sdpa")
    for row, text in zip(found, ids, strict=True):
        expected = slow_logits(model.state_dict(), config, text)
        torch.testing.assert_close(row.double(), expected, rtol=1e-4, atol=1e-4)


# --- sizes and initialisation


@pytest.mark.parametrize("name", [name for name in CATALOG if CATALOG[name].config["model_type"] == "openelm"])
def test_the_published_sizes_follow_from_the_rule(name, shared):
    stored = json.loads((shared / "reference" / "backbones.json").read_text())["models"][CATALOG[name].hub]
    config = OpenELMConfig(**CATALOG[name].config)
    assert config.num_query_heads == stored["config"]["num_query_heads"]
    assert config.num_kv_heads == stored["config"]["num_kv_heads"]
    assert config.ffn_widths == stored["derived"]["ffn_dims_per_layer"]
    assert CATALOG[name].config["ffn_multipliers"] == stored["config"]["ffn_multipliers"]


def test_stored_lists_go_before_the_rule():
    config = OpenELMConfig(**{**SIZES, "num_query_heads": [8, 2, 4], "num_kv_heads": [2, 1, 4]})
    model = AutoModel.from_config(config)
    assert [layer.attn.qkv_proj.out_features for layer in model.layers] == [8 * 12, 8 * 4, 8 * 12]
    with pytest.raises(Exception, match="num_query_heads has 2 entries for 3 layers"):
        OpenELMConfig(**{**SIZES, "num_query_heads": [8, 2]})


def test_rounding():
    assert [round_to(width, 8) for width in (1, 11.9, 12, 17, 20, 100)] == [8, 16, 16, 16, 24, 104]
    assert round_to(1280 * 0.73, 256) == 1024


def test_initialisation_is_the_published_one():
    torch.manual_seed(0)
    config = OpenELMConfig(**{**SIZES, "model_dim": 256, "head_dim": 32, "vocab_size": 500})
    model = AutoModelForCausalLM.from_config(config)
    branch = (2 * 3 * 256) ** -0.5
    for name, weights in model.named_parameters():
        if "norm" in name:
            assert (weights == 1).all()
            continue
        expected = branch if "out_proj" in name or "proj_2" in name else weights.shape[1] ** -0.5
        assert float(weights.detach().std()) == pytest.approx(expected, rel=0.03), name


# --- what a transformers model does


def test_cached_generation_equals_the_full_forward(model, ids):
    made = model.generate(ids, max_new_tokens=8, do_sample=False, pad_token_id=0)
    without = model.generate(ids, max_new_tokens=8, do_sample=False, pad_token_id=0, use_cache=False)
    assert torch.equal(made, without)
    with torch.no_grad():
        whole = model(made).logits
        cache, pieces = None, []
        for place in range(made.shape[1]):
            output = model(made[:, place : place + 1], past_key_values=cache, use_cache=True)
            cache, pieces = output.past_key_values, [*pieces, output.logits]
    torch.testing.assert_close(torch.cat(pieces, 1), whole, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_no_real_token(model, ids, side):
    pad = torch.zeros(2, 3, dtype=torch.long)
    padded = torch.cat([pad, ids] if side == "left" else [ids, pad], 1)
    mask = torch.cat([pad, torch.ones_like(ids)] if side == "left" else [torch.ones_like(ids), pad], 1)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        found = model(padded, attention_mask=mask, position_ids=positions).logits
        alone = model(ids).logits
    found = found[:, 3:] if side == "left" else found[:, :-3]
    torch.testing.assert_close(found, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable` is deprecated")
@pytest.mark.filterwarnings("ignore:`gradient_checkpointing_disable` is deprecated")
def test_loss_and_checkpointed_gradients(model, ids):
    def gradients():
        model.zero_grad()
        loss = model(ids, labels=ids).loss
        loss.backward()
        return float(loss.detach()), [weights.grad.clone() for weights in model.parameters()]

    with torch.no_grad():
        logits = model(ids).logits
    expected = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    model.train()
    plain = gradients()
    assert plain[0] == pytest.approx(float(expected), rel=1e-5)
    model.gradient_checkpointing_enable()
    saved = gradients()
    model.gradient_checkpointing_disable()
    model.eval()
    for a, b in zip(plain[1], saved[1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_saved_under_the_published_names(model, ids, tmp_path):
    model.save_pretrained(tmp_path)
    names = set(load_file(tmp_path / "model.safetensors"))
    layer = (
        "attn.qkv_proj",
        "attn.out_proj",
        "attn.q_norm",
        "attn.k_norm",
        "attn_norm",
        "ffn.proj_1",
        "ffn.proj_2",
        "ffn_norm",
    )
    expected = {f"transformer.layers.{i}.{name}.weight" for i in range(3) for name in layer}
    assert names == expected | {"transformer.token_embeddings.weight", "transformer.norm.weight"}
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(again(ids).logits, model(ids).logits)
        base = AutoModel.from_pretrained(tmp_path)
        assert torch.equal(base(ids).last_hidden_state, model.transformer(ids).last_hidden_state)
    assert AutoConfig.from_pretrained(tmp_path).num_query_heads == [2, 4, 6]


def test_half_precision_and_a_head_of_its_own(ids):
    config = OpenELMConfig(**{**SIZES, "share_input_output_layers": False})
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    assert model(ids).logits.dtype == torch.bfloat16
    assert model.lm_head.weight is not model.transformer.token_embeddings.weight
    classifier = AutoModelForSequenceClassification.from_config(OpenELMConfig(**SIZES, num_labels=3, pad_token_id=0))
    assert classifier(ids).logits.shape == (2, 3)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")  # peft asks by the old name
def test_lora_adapts_it(model, ids):
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_config(OpenELMConfig(**SIZES))
    maps = [m for name, m in base.named_modules() if name.endswith(("qkv_proj", "out_proj"))]
    adapted = peft.get_peft_model(base, peft.LoraConfig(r=4, target_modules=["qkv_proj", "out_proj"]))
    trainable = [weights for weights in adapted.parameters() if weights.requires_grad]
    assert sum(w.numel() for w in trainable) == 4 * sum(m.in_features + m.out_features for m in maps)
    adapted(ids, labels=ids).loss.backward()
    assert all(w.grad is not None for w in trainable)


# --- as a backbone


@pytest.fixture
def official(model, tmp_path):
    """A folder as it is published: code beside the weights, stored lists, and here a tokenizer."""
    config = {
        **SIZES, "model_type": "openelm", "architectures": ["OpenELMForCausalLM"],
        "num_query_heads": [2, 4, 6], "num_kv_heads": [1, 2, 3], "ffn_multipliers": [0.5, 1.25, 2.0],
        "auto_map": {"AutoConfig": "configuration_openelm.OpenELMConfig", "AutoModelForCausalLM": "x.y"},
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "configuration_openelm.py").write_text("raise SystemExit('remote code was run')")
    save_file({name: t.contiguous() for name, t in model.state_dict().items()}, tmp_path / "model.safetensors")
    write_tokenizer(tmp_path)
    return tmp_path


def test_an_official_folder_loads_without_its_code(official, model):
    backbone = load_backbone(str(official), device="cpu", dtype="float32")
    assert (backbone.n_layers, backbone.width, backbone.causal, backbone.max_length) == (3, 32, True, 40)
    assert backbone.structure.blocks is not None
    tokens = tokenise(backbone, ["w1 w2 w3 w4", "w5"])
    seen = {}
    encode(backbone, tokens, lambda layer, states, mask, rows: seen.setdefault(layer, states[:, :1].clone()))
    assert sorted(seen) == [0, 1, 2, 3]
    with torch.no_grad():
        expected = model.transformer(torch.tensor(tokens.ids[0])[None].long()).last_hidden_state
    torch.testing.assert_close(seen[3][0], expected[0, :1], rtol=1e-4, atol=1e-5)


def test_random_weights_of_an_official_folder(official):
    one, same, other = (load_backbone(f"{official}@random", device="cpu", dtype="float32", seed=s) for s in (0, 0, 1))
    weights = [b.model.layers[0].ffn.proj_2.weight for b in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert float(weights[0].detach().std()) == pytest.approx((2 * 3 * 32) ** -0.5, rel=0.1)
