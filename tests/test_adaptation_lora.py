"""Which linear maps carry LoRA where nobody names them, on models whose names alone would mislead."""

import pytest
import torch
import transformers

from tokenworth.adaptation.forecast.training_flops import count_training
from tokenworth.adaptation.route_settings import make_config
from tokenworth.adaptation.routes.lora import add_lora, target_modules
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.backbones.twins import random_model
from tokenworth.errors import SettingError

SMALL = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "pad_token_id": 1}
DENSE = {**SMALL, "intermediate_size": 48, "max_position_embeddings": 80}
HEADS = {**DENSE, "num_key_value_heads": 2, "head_dim": 8}
MAMBA = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}
GLM = {
    **HEADS, "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "first_k_dense_replace": 1,
    "n_group": 1, "topk_group": 1,
}  # fmt: skip

# kind, settings, targets
AUTOMATIC = [
    ("llama", HEADS, ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]),
    # out_proj is refused by peft, the step's weights are used without a call
    ("mamba", MAMBA, ["in_proj", "x_proj"]),
    # names of the dense block and the shared expert are those that peft takes for fused experts
    ("glm4_moe", GLM, ["k_proj", "o_proj", "q_proj", "v_proj"]),
    # the router gives a tuple
    ("phimoe", {**DENSE, "num_key_value_heads": 2, "num_local_experts": 4, "num_experts_per_tok": 2},
     ["k_proj", "o_proj", "q_proj", "v_proj"]),
    # "0" is a block as well
    ("ctrl", {"vocab_size": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 80, "dff": 48},
     ["2", "Wk", "Wq", "Wv", "dense", "h.0.ffn.0", "h.1.ffn.0"]),
    # maps of entities are on no text's way
    ("luke", {**DENSE, "entity_vocab_size": 9, "entity_emb_size": 8}, ["dense", "key", "query", "value"]),
    ("rwkv", {**SMALL, "attention_hidden_size": 32, "context_length": 80}, ["key", "output", "receptance", "value"]),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(("kind", "settings", "targets"), AUTOMATIC, ids=[row[0] for row in AUTOMATIC])
def test_automatic_targets_learn(kind, settings, targets, dtype):
    config = transformers.CONFIG_MAPPING[kind](**settings)
    model = random_model(config, dtype, seed=0)
    assert target_modules(model, "mine", ("auto",)) == targets
    with quiet_transformers():
        add_lora(model, "mine", make_config({}), 0)
    ids = torch.arange(20)[None] + 4
    model.train()(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state.float().sum().backward()
    learning = {path: weights for path, weights in model.named_parameters() if weights.requires_grad}
    assert learning
    assert all("lora_" in path for path in learning)
    assert all(weights.grad is not None for weights in learning.values())
    for weights in learning.values():
        weights.grad = None
    cost = count_training(model, torch.nn.Linear(32, 2), 32, torch.device("cpu"))
    assert cost.training.token > cost.forward.token


def test_a_model_without_such_maps_is_one_sentence():
    config = transformers.SqueezeBertConfig(**DENSE, embedding_size=32, q_groups=2, k_groups=2, v_groups=2)
    with pytest.raises(SettingError, match="SqueezeBertModel has no linear map that LoRA can be put on; choose"):
        target_modules(transformers.SqueezeBertModel(config), "mine", ("auto",))


def test_targets_that_peft_refuses_are_one_sentence():
    model = transformers.MambaModel(transformers.MambaConfig(**MAMBA))
    with (
        quiet_transformers(),
        pytest.raises(SettingError, match=r"peft cannot put LoRA on out_proj of MambaModel .*; leave targets at auto"),
    ):
        add_lora(model, "mine", make_config({"targets": "out_proj"}), 0)
