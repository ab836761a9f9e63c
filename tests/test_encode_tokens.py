"""Tokenising, planning batches and pooling: counts and edge cases."""

import json

import numpy as np
import pytest
import torch
import transformers

from small_models import WORDS, write_folder, write_model, write_tokenizer
from tokenworth.backbones import load_backbone
from tokenworth.encode import plan_batches, pool, tokenise
from tokenworth.errors import BackboneError, EncodeError, SettingError


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return load_backbone(str(write_folder(tmp_path_factory.mktemp("llama"), "llama")), dtype="float32")


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return load_backbone(str(write_folder(tmp_path_factory.mktemp("bert"), "bert")), dtype="float32")


def words(n):
    return " ".join(WORDS[i % len(WORDS)] for i in range(n))


def test_ids_are_those_of_the_tokenizer(bert):
    tokens = tokenise(bert, ["w0 w1", "nonesuch"])
    assert [ids.tolist() for ids in tokens.ids] == [[0, 4, 5, 2], [0, 3, 2]]
    assert {ids.dtype for ids in tokens.ids} == {np.dtype(np.int32)}
    assert tokens.n_tokens == 7


@pytest.mark.parametrize("n_texts", [6, 3000])
def test_truncation_is_counted_exactly(llama, n_texts):
    lengths = [39, 40, 41, 500, 1, 40] * (n_texts // 6)
    tokens = tokenise(llama, [words(n) for n in lengths])
    assert tokens.truncated == sum(n > 40 for n in lengths)
    assert tokens.lengths.tolist() == [min(n, 40) for n in lengths]
    assert tokenise(llama, [words(n) for n in lengths], max_length=39).truncated == sum(n > 39 for n in lengths)


def test_truncation_counts_special_tokens(bert):
    tokens = tokenise(bert, [words(38), words(39)])
    assert (tokens.truncated, tokens.lengths.tolist()) == (1, [40, 40])
    assert tokens.ids[1][-1] == 2  # the end token stays


def test_long_texts_bring_no_warning(llama, capfd):
    tokenise(llama, [words(5000)])
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


@pytest.mark.parametrize(("bos", "pad", "filler"), [("<s>", "<pad>", 0), (None, "<pad>", 2)])
def test_empty_text_becomes_one_token(bos, pad, filler, tmp_path):
    write_model(tmp_path, "llama")
    write_tokenizer(tmp_path, bos=bos, pad=pad)
    tokens = tokenise(load_backbone(str(tmp_path), dtype="float32"), ["", "w1", " \n", "w1 w2"])
    assert [ids.tolist() for ids in tokens.ids[:3:2]] == [[filler], [filler]]
    assert (tokens.empty, tokens.one_token) == (2, 3)


def test_empty_text_of_an_encoder_keeps_its_special_tokens(bert):
    tokens = tokenise(bert, ["", "w1"])
    assert tokens.ids[0].tolist() == [0, 2]
    assert (tokens.empty, tokens.one_token) == (1, 0)


def test_no_texts(llama):
    tokens = tokenise(llama, [])
    assert (tokens.n_tokens, tokens.ids) == (0, [])


def test_padding_and_truncation_stored_with_a_tokenizer_are_not_followed(tmp_path):
    folder = write_folder(tmp_path, "llama")
    path = folder / "tokenizer.json"
    stored = json.loads(path.read_text())
    stored["truncation"] = {"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0}
    stored["padding"] = {
        "strategy": {"Fixed": 20}, "direction": "Right", "pad_to_multiple_of": None,
        "pad_id": 1, "pad_type_id": 0, "pad_token": "<pad>",
    }  # fmt: skip
    path.write_text(json.dumps(stored))
    tokens = tokenise(load_backbone(str(folder), dtype="float32"), [words(3), words(9)])
    assert (tokens.lengths.tolist(), tokens.truncated) == ([3, 9], 0)


def test_python_tokenizers_are_counted_by_length(tmp_path):
    write_model(tmp_path, "bert", vocab_size=300)
    tokenizer = transformers.ByT5Tokenizer(extra_ids=0)
    assert not tokenizer.is_fast
    tokenizer.save_pretrained(tmp_path)
    tokens = tokenise(load_backbone(str(tmp_path), dtype="float32"), ["a" * 39, "a" * 40, "", "abc"])
    assert (tokens.lengths.tolist(), tokens.truncated, tokens.empty) == ([40, 40, 1, 4], 1, 1)


def test_tokenizer_of_another_model(tmp_path):
    write_model(tmp_path, "llama", vocab_size=20)
    write_tokenizer(tmp_path)
    backbone = load_backbone(str(tmp_path), dtype="float32")
    tokenise(backbone, ["w1"])
    with pytest.raises(BackboneError, match=r"yields the id 34 \(text 1\), but the model embeds 20 tokens"):
        tokenise(backbone, ["w1", "w30"])


@pytest.mark.parametrize("text", [None, 3.0, b"bytes"])
def test_text_that_is_no_string(llama, text):
    with pytest.raises(EncodeError, match=f"text 1 is {type(text).__name__}, not a string"):
        tokenise(llama, ["w1", text])


def test_text_that_is_no_unicode(llama):
    with pytest.raises(EncodeError, match=r"texts 0 to 1 cannot be tokenised .* valid Unicode"):
        tokenise(llama, ["w1", "half a pair \ud800"])


def test_max_length_has_limits(bert):
    with pytest.raises(SettingError, match="max_length 41 exceeds the 40 tokens"):
        tokenise(bert, ["w1"], max_length=41)
    with pytest.raises(
        SettingError, match=r"max_length 2 leaves no room beside the 2 special tokens .* choose 3 to 40"
    ):
        tokenise(bert, ["w1"], max_length=2)


@pytest.mark.parametrize("budget", [1, 7, 64, 10_000])
def test_batches_hold_every_text_once_within_the_budget(budget):
    lengths = np.random.default_rng(0).integers(1, 50, 200)
    batches = plan_batches(lengths, budget)
    assert sorted(np.concatenate(batches).tolist()) == list(range(200))
    assert all(len(rows) == 1 or len(rows) * lengths[rows].max() <= budget for rows in batches)
    assert (np.diff(lengths[np.concatenate(batches)]) <= 0).all()
    if budget == 64:
        assert sum(len(rows) * lengths[rows].max() for rows in batches) < 1.1 * lengths.sum()


def test_texts_of_one_length_keep_their_order():
    assert [rows.tolist() for rows in plan_batches([5, 7, 5, 7], 14)] == [[1, 3], [0, 2]]
    assert plan_batches([], 14) == []


def slow_pool(states, mask, how):
    rows = []
    for state, real in zip(states.double(), mask, strict=True):
        own = [s for s, r in zip(state, real, strict=True) if r]
        mean = sum(own) / len(own)
        rows.append({"mean": mean, "last": own[-1], "cls": own[0], "last+mean": torch.cat([own[-1], mean])}[how])
    return torch.stack(rows)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("how", ["mean", "last", "cls", "last+mean"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_pooling_is_its_definition_whatever_stands_in_the_padding(how, side, dtype):
    generator = torch.Generator().manual_seed(0)
    states = (torch.randn(4, 50, 6, generator=generator, dtype=torch.float64) + 100).to(dtype)
    lengths = torch.tensor([50, 1, 7, 30])
    mask = torch.arange(50) < lengths[:, None]
    if side == "left":
        mask = mask.flip(1)
    states[~mask] = torch.nan
    pooled = pool(states, mask, how)
    assert pooled.dtype == torch.float32
    # values of order 100 summed 50 times in float32: 1e-7 x a few; sums in bfloat16 would be off by a per cent
    torch.testing.assert_close(pooled.double(), slow_pool(states, mask, how), rtol=2e-6, atol=0)


def test_unknown_pooling():
    with pytest.raises(SettingError, match="'max' is not understood; choose one of mean, last, cls, last"):
        pool(torch.zeros(1, 1, 1), torch.ones(1, 1, dtype=torch.bool), "max")
