"""FLOPs, causality and cache of every kind of block, without weights, against counts written here."""

import numpy as np
import pytest
import torch
import transformers
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from small_models import FAMILIES, LLAMA, write_folder
from tokenworth.adaptation.forecast.training_flops import count_training
from tokenworth.backbones import load_backbone, meta_model
from tokenworth.backbones.accounting.account import account
from tokenworth.backbones.accounting.matrix_products import Products
from tokenworth.backbones.accounting.shape_pass import grouped_shape, without_weights
from tokenworth.backbones.structure.causality import is_causal
from tokenworth.errors import BackboneError

D, F, V, T = 32, 48, 64, 40
SMALL = {"vocab_size": V, "hidden_size": D, "num_hidden_layers": 2, "num_attention_heads": 4, "pad_token_id": 1}
DENSE = {**SMALL, "intermediate_size": F, "max_position_embeddings": 80}
HEADS = {**DENSE, "num_key_value_heads": 2, "head_dim": 8}
ATTENTION = 2 * D * D + 2 * D * 16  # query and output; keys and values of two heads of 8
PAIRS = 4 * T * D  # scores and values of a token, every pair counted


def counted(kind, **settings):
    config = transformers.CONFIG_MAPPING[kind](**settings)
    return account(meta_model(config), kind, context=T)


# kind, settings, FLOPs a token by hand: linear and mixing of all blocks, all pairs of all blocks, what lies outside
BY_HAND = [
    ("llama", HEADS, 2 * 2 * (ATTENTION + 3 * D * F), 2 * PAIRS, 0),
    # four experts of three maps, two of them for a token; a router of four
    ("mixtral", {**HEADS, "num_local_experts": 4, "num_experts_per_tok": 2},
     2 * 2 * (ATTENTION + 2 * 3 * D * F + 4 * D), 2 * PAIRS, 0),
    ("gpt_oss", {**HEADS, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 16,
                 "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}},
     2 * 2 * (ATTENTION + 2 * 3 * D * F + 4 * D), 2 * PAIRS, 0),
    # a shared expert with a gate beside the chosen ones
    ("qwen2_moe", {**DENSE, "num_key_value_heads": 2, "num_experts": 4, "num_experts_per_tok": 2,
                   "moe_intermediate_size": 24, "shared_expert_intermediate_size": 20},
     2 * 2 * (ATTENTION + 2 * 3 * D * 24 + 4 * D + 3 * D * 20 + D), 2 * PAIRS, 0),
    # all four experts are computed for every token, and the chosen one is kept: that is what it costs
    ("llama4_text", {**HEADS, "num_local_experts": 4, "num_experts_per_tok": 1, "intermediate_size_mlp": F,
                     "attention_chunk_size": 16, "interleave_moe_layer_step": 1},
     2 * 2 * (ATTENTION + 4 * 3 * D * F + 3 * D * F + 4 * D), 2 * PAIRS, 0),
    # a convolution over three places beside attention: a gate of three maps in, one out
    ("lfm2", {**DENSE, "num_key_value_heads": 2, "layer_types": ["conv", "full_attention"], "block_ff_dim": F,
              "block_auto_adjust_ff_dim": False, "conv_L_cache": 3},
     2 * (4 * D * D + 3 * D * F + ATTENTION + 3 * D * F) + 2 * 3 * D * (T + 2) / T, PAIRS, 0),
    # relative places: scores of keys and of places (2 T of them) with every query, values; places are mapped too
    ("xlnet", {"vocab_size": V, "d_model": D, "n_layer": 2, "n_head": 4, "d_inner": F},
     2 * 2 * (4 * D * D + 2 * D * D + 2 * D * F), 2 * (PAIRS + 2 * 2 * T * D), 0),
    ("openai-gpt", {"vocab_size": V, "n_embd": D, "n_layer": 2, "n_head": 4, "n_positions": 80},
     2 * 2 * 12 * D * D, 2 * PAIRS, 0),
    ("rwkv", {"vocab_size": V, "hidden_size": D, "num_hidden_layers": 2, "attention_hidden_size": D,
              "intermediate_size": F, "context_length": 80}, 2 * 2 * (4 * D * D + 2 * D * F + D * D), 0, 0),
    # one block for both layers, behind a map from the narrower embedding
    ("albert", {**DENSE, "embedding_size": 16}, 2 * 2 * (4 * D * D + 2 * D * F), 2 * PAIRS, 2 * 16 * D),
    # attention and feed-forward in lists of their own
    ("xlm", {"vocab_size": V, "emb_dim": D, "n_layers": 2, "n_heads": 4, "max_position_embeddings": 80},
     2 * 2 * 12 * D * D, 2 * PAIRS, 0),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "settings", "linear", "pairs", "rest"), BY_HAND, ids=[row[0] for row in BY_HAND])
def test_flops_by_hand(kind, settings, linear, pairs, rest):
    found = counted(kind, **settings)
    assert len(found.blocks) == 2
    assert sum(block.linear_flops + block.mixing_flops for block in found.blocks) == T * linear
    assert sum(block.attention_flops for block in found.blocks) == T * pairs
    assert found.rest.flops_per_token(T, causal=found.causal) == rest
    assert found.flops_per_token() == pytest.approx(linear + rest + pairs * (0.5 if found.causal else 1))


def test_a_state_space_by_hand():
    """In, convolution, step and matrices, step again, out; then one row of the state with C, token by token."""
    inner, state, rank, taps = 2 * D, 8, 2, 4
    found = counted("mamba", vocab_size=V, hidden_size=D, num_hidden_layers=2, state_size=state, time_step_rank=rank)
    maps = D * 2 * inner + inner * (rank + 2 * state) + rank * inner + inner * D
    linear = 2 * maps + 2 * taps * inner * (T + taps - 1) / T
    assert found.causal
    assert found.flops_per_token() == pytest.approx(2 * (linear + 2 * inner * state))
    assert sum(block.attention_flops for block in found.blocks) == 0
    assert found.cache_bytes_per_token() == 0


@pytest.mark.parametrize("kind", ["deberta", "deberta-v2", "longformer", "big_bird", "convbert", "rembert", "roformer"])
def test_models_that_look_at_their_masks_are_counted_as_they_run(kind):
    """The slow truth: the model with weights, under PyTorch's own counter."""
    settings = {**DENSE, "type_vocab_size": 2, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]}
    settings |= {"attention_window": 8, "block_size": 4, "num_random_blocks": 1, "embedding_size": D}
    config = transformers.CONFIG_MAPPING[kind](**settings)
    found = account(meta_model(config), kind, context=T)
    model = transformers.AutoModel.from_config(config).eval().requires_grad_(False)
    ids = torch.full((1, T), 2)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(input_ids=ids, attention_mask=torch.ones_like(ids))
    pooler = 2 * D * D if getattr(model, "pooler", None) is not None else 0
    assert not found.causal
    assert found.flops_per_token() * T == counter.get_total_flops() - pooler


# --- causality


@pytest.mark.parametrize(
    ("kind", "settings", "causal"),
    [
        ("mamba", {"vocab_size": V, "hidden_size": D, "num_hidden_layers": 2, "state_size": 4}, True),
        ("recurrent_gemma", {**DENSE, "num_key_value_heads": 1, "lru_width": D, "num_hidden_layers": 3}, True),
        ("bert", DENSE, False),
        ("bert", {**DENSE, "is_decoder": True}, True),
        ("modernbert", {**DENSE, "local_attention": 16, "cls_token_id": 2, "sep_token_id": 3}, False),
    ],
    ids=["mamba", "recurrent gemma", "bert", "bert as decoder", "modernbert"],
)
def test_causality_is_asked(kind, settings, causal):
    config = transformers.CONFIG_MAPPING[kind](**settings)
    assert counted(kind, **settings).causal == causal
    large = transformers.CONFIG_MAPPING[kind](**{**settings, "vocab_size": 1_000_000})  # then one block is looked at
    blocks = {"mamba": "layers.0", "recurrent_gemma": "layers.0", "modernbert": "layers.0"}
    assert is_causal(large, blocks.get(kind, "encoder.layer.0")) == is_causal(config, "") == causal


@pytest.mark.slow
def test_a_large_mixture_takes_no_memory():
    """47 billion parameters: two of eight experts are 12.6 billion for a token; the published figure is 12.9 with
    embedding and head, 0.26 billion."""
    found = account(meta_model(transformers.MixtralConfig()), "Mixtral", context=128)
    attention = 2 * 4096 * 4096 + 2 * 4096 * 1024
    active = 32 * (attention + 2 * 3 * 4096 * 14336 + 8 * 4096)
    assert found.flops_per_token() == 2 * active + 32 * 4 * 128 * 4096 / 2
    assert found.causal


def test_what_cannot_run_is_one_sentence():
    model = meta_model(transformers.LlamaConfig(**LLAMA))
    told = pytest.raises(BackboneError, match=r"does not run without weights .*, so its cost cannot be counted")
    with told, without_weights(model):
        torch.empty(2, device="meta").sum().item()


# --- width and depth are those of the states


@pytest.mark.parametrize("family", list(FAMILIES))
def test_depth_width_and_causality_are_those_of_the_loaded_model(tmp_path, family):
    from tokenworth.backbones import account_of

    folder = write_folder(tmp_path, family)
    found, backbone = account_of(str(folder), context=12), load_backbone(str(folder), device="cpu", dtype="float32")
    assert (len(found.blocks), found.width, found.causal) == (backbone.n_layers, backbone.width, backbone.causal)
    assert found.rest.parameters >= 0
    assert found.embedding + found.rest.parameters + sum(b.parameters for b in found.blocks) == backbone.n_parameters


# --- training, and grouped products


@pytest.mark.parametrize("implementation", ["grouped_mm", "batched_mm", "eager"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_experts_count_alike_however_they_are_computed(implementation, dtype):
    """Forward as by hand; backward twice that: gradients of states and of weights, but for ids and frozen router."""
    settings = {**HEADS, "num_local_experts": 4, "num_experts_per_tok": 2, "attn_implementation": "eager"}
    config = transformers.MixtralConfig(**settings, experts_implementation=implementation)
    model = transformers.MixtralModel(config).to(dtype)
    head = nn.Linear(D, 2)
    cost = count_training(model, head, D, torch.device("cpu"), length=20)
    linear = 2 * 2 * (ATTENTION + 2 * 3 * D * F + 4 * D)
    assert cost.forward.token == pytest.approx(linear, rel=1e-6)
    assert cost.forward.pair == pytest.approx(2 * 4 * D, rel=1e-6)
    # The first block's queries, keys and values need no gradient of their input only if the embedding is frozen.
    assert cost.training.token == pytest.approx(3 * linear, rel=1e-6)
    assert cost.training.pair == pytest.approx(3 * 2 * 4 * D, rel=1e-6)


def test_training_without_weights_counts_as_training_with_them():
    config = transformers.MixtralConfig(**HEADS, num_local_experts=4, num_experts_per_tok=2)
    head, bare = nn.Linear(D, 2), nn.Linear(D, 2, device="meta")
    real = count_training(transformers.MixtralModel(config), head, D, torch.device("cpu"), length=20)
    model = meta_model(config)
    with without_weights(model):
        counted_bare = count_training(model, bare, D, torch.device("meta"), length=20)
    for one, other in ((real.forward, counted_bare.forward), (real.training, counted_bare.training)):
        np.testing.assert_allclose([one.token, one.pair], [other.token, other.pair], rtol=1e-9)


@pytest.mark.parametrize(
    ("a", "b"),
    [((6, 3), (2, 3, 5)), ((2, 6, 3), (3, 4)), ((6, 3), (3, 5)), ((2, 6, 3), (2, 3, 5))],
    ids=["rows", "columns", "inner", "none"],
)
def test_a_grouped_product_is_a_loop_over_groups(a, b):
    """The truth: each group's product alone, of 2, then 4 (columns: 1, then 3) of the grouped axis."""
    grouped = {(2, 3): 6, (3, 2): 4, (2, 2): 3}.get((len(a), len(b)))
    offs = None if grouped is None else torch.tensor([1, grouped])
    left, right = torch.empty(a, device="meta"), torch.empty(b, device="meta")
    sizes = [1, (grouped or 1) - 1]
    truth = {
        (2, 3): sum(2 * n * 3 * 5 for n in sizes),
        (3, 2): sum(2 * 6 * 3 * n for n in sizes),
        (2, 2): sum(2 * 6 * n * 5 for n in sizes),
        (3, 3): 2 * 2 * 6 * 3 * 5,
    }[len(a), len(b)]
    shape = {(2, 3): (6, 5), (3, 2): (6, 4), (2, 2): (2, 6, 5), (3, 3): (2, 6, 5)}[len(a), len(b)]
    assert grouped_shape(left, right, offs).shape == shape
    from tokenworth.backbones.accounting.matrix_products import grouped_formulas

    formula = grouped_formulas()[torch.ops.aten._grouped_mm]
    assert formula(left, right, offs) == truth


def test_products_know_weights_by_their_views():
    weights = torch.randn(3, 4)
    with torch.no_grad(), Products([weights]) as products:
        x = torch.randn(2, 3)
        _ = x @ weights
        _ = x @ x.T
        _ = weights.T @ x.T
    assert [(one.flops, one.of_weights) for one in products.found] == [(48, True), (24, False), (48, True)]
