"""Damaged and hostile model folders: one sentence each, before anything large is built."""

import json
import random
import re
import resource

import pytest
import torch
from safetensors.torch import load_file, save_file

import tokenworth.backbones.loading.size_check as sizes
from damaged_models import DEEP, damaged, use
from small_models import write_folder, write_model, write_tokenizer
from tokenworth.backbones import account_of, load_backbone
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.backbones.loading.tokenizer import MOST_GROWTH, growth_of
from tokenworth.encode import tokenise
from tokenworth.errors import BackboneError, EncodeError

FAMILIES = ("llama", "gpt2", "bert", "distilbert", "mpt")
_REPLACE = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 10}


@pytest.fixture
def llama(tmp_path):
    return write_folder(tmp_path / "llama", "llama")


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def message(name, **options):
    with pytest.raises(BackboneError) as caught:
        load_backbone(str(name), device="cpu", **{"dtype": "float32", **options})
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 900
    return text


# (changes of a llama's config.json, key, the value as it is shown, what is expected)
VALUES = [
    ({"hidden_size": "32"}, "hidden_size", "'32'", "a whole number"),
    ({"hidden_size": 32.5}, "hidden_size", "32.5", "a whole number"),
    ({"hidden_size": None}, "hidden_size", "None", "a whole number"),
    ({"hidden_size": True}, "hidden_size", "True", "a whole number"),
    ({"hidden_size": [32]}, "hidden_size", "[32]", "a whole number"),
    ({"hidden_size": 0}, "hidden_size", "0", "a whole number above 0"),
    ({"num_attention_heads": -4}, "num_attention_heads", "-4", "a whole number above 0"),
    ({"vocab_size": 10**15}, "vocab_size", "1000000000000000", "a size that a model can have"),
    ({"vocab_size": 10**400}, "vocab_size", "a number of 1329 bits", "a size that a model can have"),
    ({"num_hidden_layers": 10**6}, "num_hidden_layers", "1000000", "a number of layers up to 1,000"),
    ({"num_labels": 10**9}, "num_labels", "1000000000", "a number of classes up to 1,000,000"),
    ({"num_labels": "x"}, "num_labels", '"x"', "a number of classes up to 1,000,000"),
    ({"hidden_act": 3}, "hidden_act", "3", "a text"),
    ({"initializer_range": "x"}, "initializer_range", "'x'", "a number"),
    ({"pad_token_id": "a"}, "pad_token_id", "'a'", "a whole number or null"),
    ({"tie_word_embeddings": "x"}, "tie_word_embeddings", '"x"', "true or false"),
    ({"is_encoder_decoder": 1}, "is_encoder_decoder", "1", "true or false"),
    ({"id2label": [1]}, "id2label", "[1]", "an object"),
    ({"quantization_config": "x"}, "quantization_config", '"x"', "an object"),
    ({"text_config": {"num_labels": 10**9}}, "num_labels", "1000000000", "a number of classes up to 1,000,000"),
]


@pytest.mark.parametrize(("changes", "key", "shown", "expected"), VALUES)
def test_a_wrong_value_is_named_with_what_is_expected(llama, changes, key, shown, expected):
    edit(llama / "config.json", **changes)
    texts = {message(llama), message(f"{llama}@random")}
    with pytest.raises(BackboneError) as caught:
        account_of(str(llama))
    assert {*texts, str(caught.value)} == {
        f"{llama / 'config.json'}: {key} is {shown}, expected is {expected}; correct it, or fetch config.json again"
    }


@pytest.mark.parametrize(
    "changes", [{"hidden_size": 1_000_000}, {"intermediate_size": 10**9}, {"vocab_size": 10**9}, {"head_dim": 10**8}]
)
def test_sizes_are_compared_with_the_files_and_with_memory(llama, changes, monkeypatch):
    monkeypatch.setattr(sizes, "free_memory", lambda: 10**9)
    edit(llama / "config.json", **changes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    from_files, twin = message(llama), message(f"{llama}@random")
    assert re.search(r"describes a model of [\d,]+ weights, but its files hold 28,384;", from_files)
    assert re.search(r"takes [\d,.]+ GB of main memory where 1.0 GB are free", twin)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_a_twin_that_just_fits_is_built(llama, monkeypatch):
    n_bytes = 4 * (28_384 + 8)  # float32; 8 numbers of rotary frequencies, kept twice
    monkeypatch.setattr(sizes, "free_memory", lambda: n_bytes)
    load_backbone(f"{llama}@random", dtype="float32", device="cpu")
    monkeypatch.setattr(sizes, "free_memory", lambda: n_bytes - 1)
    assert "0.0 GB are free" in message(f"{llama}@random")


def test_modules_are_counted_while_they_are_built(llama, monkeypatch):
    monkeypatch.setattr(sizes, "_MOST_MODULES", 40)
    assert "more than 40 modules" in message(llama)
    monkeypatch.setattr(sizes, "_MOST_NUMBERS", 1000)
    assert "more than 1,000 numbers" in message(llama)


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '"x"', "9" * 5000, DEEP, "<html>", '{"a": ' + "9" * 5000])
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors.index.json"])
def test_files_that_are_no_settings(llama, name, text):
    if name.startswith("model"):
        (llama / "model.safetensors").unlink()
    (llama / name).write_text(text)
    assert str(llama) in message(llama)


@pytest.mark.parametrize(
    "places", [None, [], {}, "x", {"a": 1}, {"a": None}, {"a": ["x"]}, {"a": "../model.safetensors"}, {"a": "x" * 300}]
)
def test_an_index_names_files_beside_it(llama, places):
    (llama / "model.safetensors").unlink()
    (llama / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    assert "names no weight files" in message(llama)


def test_shards_without_their_index(llama):
    (llama / "model.safetensors").rename(llama / "model-00001-of-00002.safetensors")
    assert "no model.safetensors.index.json" in message(llama)


@pytest.mark.parametrize("name", ["consolidated.00.pth", "tf_model.h5", "weights.safetensors"])
def test_weights_under_a_name_that_is_not_read(llama, name):
    (llama / "model.safetensors").rename(llama / name)
    text = message(llama)
    assert f"has its weights as {name}, which is not read" in text
    assert "--allow-pickle" not in text


def test_weights_of_another_kind_under_the_name_of_a_gguf_file(llama):
    (llama / "model.safetensors").rename(llama / "tiny.gguf")
    (llama / "config.json").unlink()
    for name in (llama, llama / "tiny.gguf"):
        assert "tiny.gguf is no GGUF file" in message(name)


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"quant_method": "gptq", "bits": 4}, "GPTQ, 4 bits"),
        ({"quant_method": "awq", "bits": 4}, "AWQ, 4 bits"),
        ({"quant_method": "compressed-tensors"}, "compressed-tensors"),
        ({"load_in_8bit": True}, "bitsandbytes, 8 bits"),
        ({}, "an unnamed method"),
    ],
)
def test_packed_weights_are_named_and_their_twin_is_not_refused(llama, stated, words):
    edit(llama / "config.json", quantization_config=stated)
    weights = load_file(llama / "model.safetensors")
    packed = {name: tensor.to(torch.int32) if "proj" in name else tensor for name, tensor in weights.items()}
    save_file({name.replace("proj.weight", "proj.qweight"): t for name, t in packed.items()},
              llama / "model.safetensors", metadata={"format": "pt"})  # fmt: skip
    text = message(llama)
    assert f"are quantised ({words}) and cannot be unpacked here" in text
    assert "float32, bfloat16 or float16 that it was made from" in text
    assert load_backbone(f"{llama}@random", dtype="float32", device="cpu").random


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_eight_bit_floats_are_unpacked_exactly(llama, dtype):
    """Blocks of 16 x 16 numbers with a scale each, as DeepSeek publishes them."""
    expected, stored = {}, {}
    for name, weight in load_file(llama / "model.safetensors").items():
        expected[name] = stored[name] = weight
        if name.endswith("proj.weight"):
            rows, columns = weight.shape
            blocks = weight.view(rows // 16, 16, columns // 16, 16)
            scale = blocks.abs().amax((1, 3)) / 448  # the largest number of the format
            codes = (blocks / scale[:, None, :, None]).to(torch.float8_e4m3fn)
            expected[name] = (codes.float() * scale[:, None, :, None]).view(rows, columns)
            stored |= {name: codes.reshape(rows, columns), f"{name}_scale_inv": scale}
    save_file(stored, llama / "model.safetensors", metadata={"format": "pt"})
    edit(llama / "config.json", quantization_config={"quant_method": "fp8", "weight_block_size": [16, 16]})
    backbone = load_backbone(str(llama), dtype=dtype, device="cpu")
    found = backbone.model.state_dict()
    assert backbone.dtype == dtype
    assert all(torch.equal(found[name], weight.to(dtype)) for name, weight in expected.items())
    with quiet_transformers():
        backbone.model.save_pretrained(llama.parent / "plain")
        backbone.tokenizer.save_pretrained(llama.parent / "plain")
    again = load_backbone(str(llama.parent / "plain"), dtype=dtype, device="cpu").model.state_dict()
    assert all(torch.equal(again[name], found[name]) for name in expected)


@pytest.mark.parametrize(
    ("normalizer", "growth"),
    [
        (None, 1),
        ({"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}, 1),
        ({"type": "Replace", "pattern": {"String": "``"}, "content": '"'}, 1),
        ({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "\u2581"}, 1),
        ({"type": "Replace", "pattern": {"String": "\n"}, "content": "<line>"}, 6),
        ({"type": "Replace", "pattern": {"Regex": "x*"}, "content": "abc"}, 4),
        ({"type": "Replace", "pattern": {"Regex": "(?<=a)(?=b)"}, "content": "abc"}, 4),
        ({"type": "Sequence", "normalizers": [_REPLACE, {"type": "Sequence", "normalizers": [_REPLACE]}]}, 100),
        ({"type": "Sequence", "normalizers": [_REPLACE] * 9}, 10**9),
    ],
)  # fmt: skip
def test_growth_by_replacements(tmp_path, normalizer, growth):
    write_tokenizer(tmp_path)
    edit(tmp_path / "tokenizer.json", normalizer=normalizer)
    assert growth_of(tmp_path / "tokenizer.json") == growth
    write_model(tmp_path, "llama")
    if growth > MOST_GROWTH:
        text = message(tmp_path)
        assert "times as long" in text
        assert "--tokenizer" in text
    else:
        tokenise(load_backbone(str(tmp_path), dtype="float32", device="cpu"), ["a" * 1000])


def test_a_regular_expression_that_is_too_much(llama):
    """The Rust side panics behind its number of retries, with an exception that is none of Python's."""
    split = {"type": "Split", "pattern": {"Regex": r"(a+)+\1b"}, "behavior": "Isolated", "invert": False}
    edit(llama / "tokenizer.json", pre_tokenizer=split)
    backbone = load_backbone(str(llama), dtype="float32", device="cpu")
    with pytest.raises(EncodeError, match="one of the texts 0 to 1 cannot be tokenised"):
        tokenise(backbone, ["w1", "a" * 40])


def test_few_characters_go_to_the_tokenizer_at_a_time(llama, monkeypatch):
    """Its record of a text is some hundred bytes a character."""
    backbone = load_backbone(str(llama), dtype="float32", device="cpu")
    texts = ["w1 w2", "w3", "w4 w5 w6", "w7"] * 3
    whole = tokenise(backbone, texts)
    monkeypatch.setattr("tokenworth.encode.tokens._CHARACTERS_A_CALL", 9)
    parts = tokenise(backbone, texts)
    assert [ids.tolist() for ids in parts.ids] == [ids.tolist() for ids in whole.ids]


def test_ids_beyond_what_arrays_hold(llama):
    model = {"type": "WordLevel", "vocab": {"w1": 2**32 - 1, "<unk>": 3}, "unk_token": "<unk>"}
    edit(llama / "tokenizer.json", model=model)
    backbone = load_backbone(str(llama), dtype="float32", device="cpu")
    with pytest.raises(BackboneError, match=r"yields the id 4294967295 \(text 1\), but the model embeds 64 tokens"):
        tokenise(backbone, ["<unk>", "w1"])


@pytest.mark.parametrize("family", FAMILIES)
def test_no_damage_ends_in_a_traceback(tmp_path, family):
    """A few of each family; whatever is not the package's own error fails the test."""
    base = write_folder(tmp_path / "base", family)
    _damage(base, range(6))


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_no_damage_of_many_ends_in_a_traceback(tmp_path, family):
    base = write_folder(tmp_path / "base", family)
    _damage(base, range(1000, 1150))


def _damage(base, seeds):
    for seed in seeds:
        folder, what = damaged(base, random.Random(seed))
        for text in use(folder):
            assert "\n" not in text, what
            assert len(text) < 1000, what
