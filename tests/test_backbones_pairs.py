"""Architectures of an encoder and a decoder: the encoder is the backbone, or the decoder where it was trained alone."""

import pytest
import torch
import transformers

from small_models import write_tokenizer
from tokenworth.backbones import account_of, load_backbone
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.errors import BackboneError

IDS = torch.tensor([[4, 9, 30, 31, 7, 5, 60, 12]])
_BART = {
    "vocab_size": 64, "d_model": 32, "encoder_layers": 3, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 40, "max_position_embeddings": 40,
    "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2, "init_std": 0.3,
}  # fmt: skip
_T5 = {"vocab_size": 64, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 3, "num_decoder_layers": 2, "num_heads": 4}
_GEMMA = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "pad_token_id": 1,
}  # fmt: skip
FOLDERS = {
    "t5": ("T5ForConditionalGeneration", "T5Config", _T5),
    "t5 encoder": ("T5EncoderModel", "T5Config", _T5),
    "longt5": ("LongT5ForConditionalGeneration", "LongT5Config", {**_T5, "local_radius": 5}),
    "t5gemma": ("T5GemmaForConditionalGeneration", "T5GemmaConfig", {"encoder": _GEMMA, "decoder": _GEMMA}),
    "bart": ("BartForConditionalGeneration", "BartConfig", _BART),
    "bart base": ("BartModel", "BartConfig", _BART),
    "mbart": ("MBartForConditionalGeneration", "MBartConfig", _BART),
    "marian": ("MarianMTModel", "MarianConfig", _BART),
    "bart decoder": ("BartForCausalLM", "BartConfig", {**_BART, "is_decoder": True, "is_encoder_decoder": False}),
}
ENCODERS = [name for name in FOLDERS if name != "bart decoder"]


def write(folder, name):
    """A folder as transformers saves it, and the model that it reads back from it."""
    class_name, config_name, settings = FOLDERS[name]
    config = getattr(transformers, config_name)(**settings)
    with quiet_transformers(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = getattr(transformers, class_name)(config)
        for parameter in model.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
        model.save_pretrained(folder)
        write_tokenizer(folder, wrapped=True)
        return type(model).from_pretrained(folder).eval()


def states(model):
    with torch.no_grad():
        return model(input_ids=IDS, output_hidden_states=True).hidden_states


def load(name, **options):
    return load_backbone(str(name), device="cpu", **{"dtype": "float32", **options})


@pytest.mark.parametrize("name", list(FOLDERS))
def test_states_are_those_of_the_librarys_own_part(tmp_path, name):
    whole = write(tmp_path, name)
    part = whole.get_decoder() if name == "bart decoder" else whole.get_encoder()
    expected, backbone = states(part), load(tmp_path)
    assert len(expected) == backbone.n_layers + 1
    assert all(torch.equal(a, b) for a, b in zip(states(backbone.model), expected, strict=True))
    assert backbone.causal == (name == "bart decoder")
    narrow = states(load(tmp_path, dtype="bfloat16").model)[-1].float()
    assert (narrow - expected[-1]).norm() < 20 * 2**-8 * expected[-1].norm()  # roundings to 8 bits in three blocks


@pytest.mark.parametrize("name", ["t5", "longt5", "t5gemma", "bart", "bart decoder"])
def test_saved_alone_it_is_read_again_and_has_the_same_twin(tmp_path, name):
    write(tmp_path / "whole", name)
    backbone = load(tmp_path / "whole")
    with quiet_transformers():
        backbone.model.save_pretrained(tmp_path / "alone")
        backbone.tokenizer.save_pretrained(tmp_path / "alone")
    alone = load(tmp_path / "alone")
    assert all(torch.equal(a, b) for a, b in zip(states(alone.model), states(backbone.model), strict=True))
    twins = [load(f"{tmp_path / folder}@random", seed=3) for folder in ("whole", "alone")]
    assert type(twins[0].model) is type(twins[1].model) is type(backbone.model)
    assert {twin.n_parameters for twin in twins} == {backbone.n_parameters}


@pytest.mark.parametrize("name", ["t5", "bart", "marian"])
def test_account_is_of_the_encoder(tmp_path, name):
    write(tmp_path, name)
    account, backbone = account_of(str(tmp_path)), load(tmp_path)
    assert (account.parameters, len(account.blocks), account.causal) == (backbone.n_parameters, 3, False)


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_an_encoder_is_not_prompted(tmp_path, name):
    write(tmp_path, name)
    with pytest.raises(BackboneError, match="predicts no next tokens"):
        load(tmp_path, lm_head=True)


def test_a_lone_decoder_predicts_as_the_library_does(tmp_path):
    whole = write(tmp_path, "bart decoder")
    backbone = load(tmp_path, lm_head=True)
    with torch.no_grad():
        found = backbone.lm_head(backbone.model(input_ids=IDS).last_hidden_state)
        assert torch.equal(found, whole(input_ids=IDS).logits)


def test_an_encoder_that_does_not_stand_apart(tmp_path):
    settings = {**_BART, "src_vocab_size": 64, "tgt_vocab_size": 64, "langs": ["en", "de"]}
    transformers.FSMTConfig(**settings).save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    with pytest.raises(BackboneError, match="does not stand apart"):
        load(f"{tmp_path}@random")


def test_an_encoder_of_two_streams(tmp_path):
    transformers.PegasusXConfig(**_BART).save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    with pytest.raises(BackboneError, match="PegasusXEncoder has several states a token in a layer"):
        load(f"{tmp_path}@random")
