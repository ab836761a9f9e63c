"""Logits of given states: those of the language model's own class, whatever it does behind its base model."""

import pytest
import torch
import transformers

from conformance_checks import causal_model, prompt_agrees, states_agree, text_loss_agrees, token_ids
from small_models import write_folder
from tokenworth.backbones import load_backbone
from tokenworth.backbones.structure.language_head import LanguageHead
from tokenworth.errors import BackboneError
from windowed_models import write_windowed

HEADS = ("granite", "cohere", "gemma2", "bert", "modernbert-decoder", "bart")


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_logits_are_those_of_the_class(tmp_path, kind, dtype):
    """Scaled (Granite, Cohere), capped (Gemma 2), transformed (BERT, ModernBERT), behind a wrapper (BART)."""
    folder = write_windowed(tmp_path, kind, lm_head=True)
    backbone = load_backbone(folder, dtype=dtype, lm_head=True)
    ids_1T = torch.from_numpy(token_ids(backbone, (20,))[0]).long()[None]
    with torch.inference_mode():
        states_TD = backbone.model(input_ids=ids_1T).last_hidden_state[0]
        logits_TV = torch.cat([backbone.lm_head(states_TD[:7]), backbone.lm_head(states_TD[7:])])
        expected_TV = causal_model(folder, dtype)(input_ids=ids_1T).logits[0]
    unit = 1e-5 if dtype == "float32" else 2 * torch.finfo(torch.bfloat16).eps
    torch.testing.assert_close(logits_TV, expected_TV, rtol=unit, atol=unit * expected_TV.abs().max().item())


@pytest.mark.parametrize("kind", HEADS)
def test_text_loss_and_prompt_are_those_of_the_class(tmp_path, kind):
    folder = write_windowed(tmp_path, kind, lm_head=True)
    for check in (text_loss_agrees, prompt_agrees):
        agreement = check(folder, "float32")
        assert agreement.apart <= agreement.bound


def test_a_decoder_without_its_encoder_is_a_backbone(tmp_path):
    agreement = states_agree(write_windowed(tmp_path, "bart", lm_head=True), "float32")
    assert agreement.apart <= agreement.bound


@pytest.mark.parametrize("tied", [True, False])
def test_a_head_counts_the_weights_that_are_not_the_embeddings(tmp_path, tied):
    folder = write_folder(tmp_path, "llama", lm_head=True, tie_word_embeddings=tied)
    backbone = load_backbone(str(folder), dtype="float32", lm_head=True)
    assert backbone.lm_head.n_parameters == (0 if tied else 64 * 32)
    assert type(backbone.model).__name__ == "LlamaModel"
    assert "forward" not in backbone.model.__dict__


def test_logits_that_need_more_than_the_states_are_refused(monkeypatch):
    config = transformers.LlamaConfig(vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                                      num_attention_heads=2)  # fmt: skip
    model = transformers.LlamaForCausalLM(config).eval()
    usual = model.forward

    def forward(input_ids, **more):
        output = usual(input_ids=input_ids, **more)
        output.logits = output.logits + input_ids[..., None]  # a copying head, say
        return output

    monkeypatch.setattr(model, "forward", forward)
    with pytest.raises(BackboneError, match="do not follow from its last states alone"):
        LanguageHead(model).check("copier")


def test_a_model_that_does_not_run_is_one_sentence():
    config = transformers.LlamaConfig(vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                                      num_attention_heads=2)  # fmt: skip
    model = transformers.LlamaForCausalLM(config)
    model.model.layers[0].mlp.up_proj = torch.nn.Linear(3, 16)
    with pytest.raises(BackboneError, match="does not predict the next token"):
        LanguageHead(model)
