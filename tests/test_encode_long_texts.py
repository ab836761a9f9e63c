"""What is read of texts that are longer than a model takes, against cutting each by hand."""

from dataclasses import replace

import numpy as np
import pytest
import transformers
from tokenizers import processors

import tokenworth.encode.tokens as tokens_module
from planted import planted_task
from small_models import WORDS, write_folder, write_model
from tokenworth.adaptation.route_settings import AdaptConfig
from tokenworth.assessment.assessment_settings import AssessOptions
from tokenworth.backbones import load_backbone
from tokenworth.base.aliases import LONG
from tokenworth.encode import tokenise
from tokenworth.encode.long_texts import mean_of_pieces, piece_rows, surround_of
from tokenworth.encode.tokens import lengths_by_part, token_lengths
from tokenworth.errors import EncodeError, SettingError

LENGTHS = (0, 1, 9, 10, 11, 39, 40, 41, 77, 120, 300)
"""Tokens of texts; the small models read 40."""


def words(n):
    return " ".join(WORDS[(7 * i) % len(WORDS)] for i in range(n))


def beginning_of_text(folder):
    """A tokenizer that puts one token before every text, as Llama's and Gemma's do."""
    write_folder(folder, "llama")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    tokenizer.save_pretrained(folder)


def of_bytes(folder):
    """One that only Python implements, with a token behind every text."""
    write_model(folder, "llama", vocab_size=300)
    transformers.ByT5Tokenizer(extra_ids=0).save_pretrained(folder)


FOLDERS = {
    "nothing": (lambda folder: write_folder(folder, "llama"), [], []),
    "both ends": (lambda folder: write_folder(folder, "bert"), [0], [2]),
    "before": (beginning_of_text, [0], []),
    "behind": (of_bytes, [], [1]),
}
"""Writers of models by where their tokenizers put special tokens, and these."""


@pytest.fixture(scope="module", params=FOLDERS)
def special(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    write, before, behind = FOLDERS[request.param]
    write(folder)
    return load_backbone(str(folder), dtype="float32"), before, behind


def slowly_read(body, room, long):
    """The ids of one text's pieces, token by token."""
    if len(body) <= room:
        return [body]
    if long == "first":
        return [[body[i] for i in range(room)]]
    if long == "last":
        return [[body[len(body) - room + i] for i in range(room)]]
    if long == "ends":
        return [[*body[: room - room // 2], *body[-(room // 2) :]]] if room > 1 else [body[:1]]
    k = 1
    while k * room < len(body):
        k += 1
    sizes = [len(body) // k + (1 if np.floor((i + 1) * len(body) / k) - np.floor(i * len(body) / k)
                               > len(body) // k else 0) for i in range(k)]  # fmt: skip
    return [body[sum(sizes[:i]) : sum(sizes[: i + 1])] for i in range(k)]


@pytest.mark.parametrize("most", [None, 10, 3])
@pytest.mark.parametrize("long", LONG)
def test_special_tokens_stand_at_both_ends_of_all_that_is_read(special, long, most):
    backbone, before, behind = special
    texts = [words(n) for n in LENGTHS] if backbone.tokenizer.is_fast else ["abcdefg"[n % 7] * n for n in LENGTHS]
    room = (most or 40) - len(before) - len(behind)
    wanted, counts = [], []
    for text in texts:
        body = list(backbone.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
        pieces = [before + piece + behind for piece in slowly_read(body, room, long)]
        wanted += [piece or [0] for piece in pieces]
        counts.append(len(pieces))
    found = tokenise(backbone, texts, max_length=most, long=long)
    assert [ids.tolist() for ids in found.ids] == wanted
    assert found.n_texts == len(texts)
    assert found.truncated == sum(n > room for n in LENGTHS)
    assert found.max_length == (most or 40)
    assert (found.counts_N is None) if long != "chunks" else (found.counts_N.tolist() == counts)
    assert found.lengths.max() <= found.max_length


def test_pieces_hold_every_token_once_and_are_even(special):
    backbone, before, behind = special
    text = words(300) if backbone.tokenizer.is_fast else "ab" * 150
    found = tokenise(backbone, [text], long="chunks")
    inner = [ids[len(before) : len(ids) - len(behind)].tolist() for ids in found.ids]
    body = backbone.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    assert [i for piece in inner for i in piece] == list(body)
    assert np.ptp(found.lengths) <= 1


@pytest.mark.parametrize("long", LONG)
def test_lengths_are_known_without_the_model(tmp_path, long):
    backbone = load_backbone(str(write_folder(tmp_path, "bert")), dtype="float32")
    task = planted_task(20, 9, longest=150)
    read = [tokenise(backbone, texts, max_length=30, long=long) for texts in (task.train.texts, task.test.texts)]
    whole, *parts = lengths_by_part(str(tmp_path), task, 30, None, long)
    assert sorted(whole.lengths_P) == sorted(n for tokens in read for n in tokens.lengths)
    assert sorted(whole.lengths_P) == sorted(n for part in parts for n in part.lengths_P)
    if long == "chunks":
        assert sorted(whole.counts_N) == sorted(n for tokens in read for n in tokens.counts_N)
        assert [len(part.counts_N) for part in parts] == [20, 9]
    if long == "first":
        assert token_lengths(str(tmp_path), task, 30).tolist() == whole.lengths_P.tolist()


def test_a_text_of_special_tokens_is_cut_between_them(tmp_path):
    backbone = load_backbone(str(write_folder(tmp_path, "bert")), dtype="float32")
    found = tokenise(backbone, ["</s> <s> " * 30], max_length=12, long="chunks")
    assert {tuple(ids[[0, -1]].tolist()) for ids in found.ids} == {(0, 2)}
    assert found.n_tokens == 60 + 2 * len(found.ids)


def test_means_over_pieces_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    counts_N = np.array([1, 3, 2, 1])
    values_P = rng.normal(size=(7, 5)).astype(np.float32)
    means_N = mean_of_pieces(values_P, counts_N)
    assert means_N.dtype == np.float32
    place = 0
    for row, count in enumerate(counts_N):
        wanted = sum(values_P[place + i].astype(np.float64) for i in range(count)) / count
        np.testing.assert_allclose(means_N[row], wanted, rtol=1e-6)
        place += count
    assert mean_of_pieces(values_P, None) is values_P
    assert piece_rows(np.array([2, 1]), counts_N).tolist() == [4, 5, 1, 2, 3]


class _Between:
    """A tokenizer with a special token after every word."""

    def __call__(self, text, *, add_special_tokens, **_more):
        ids = list(range(4, 4 + len(text)))
        return {"input_ids": [i for n in ids for i in (n, 2)] if add_special_tokens else ids}


def test_special_tokens_within_a_text_are_refused(tmp_path, monkeypatch):
    assert surround_of(_Between(), "some text") is None
    backbone = load_backbone(str(write_folder(tmp_path, "bert")), dtype="float32")
    monkeypatch.setattr(tokens_module, "surround_of", lambda *_: None)
    tokenise(backbone, ["w1"], long="last")
    with pytest.raises(EncodeError, match=r"special tokens among those of a text, .*; choose long first"):
        tokenise(backbone, [words(50)], long="last")


def test_what_cannot_be_tokenised_is_said_as_ever(special):
    backbone = special[0]
    with pytest.raises(EncodeError, match="text 1 is float, not a string"):
        tokenise(backbone, ["w1", 1.0], long="chunks")
    with pytest.raises(SettingError, match="max_length 41 exceeds"):
        tokenise(backbone, ["w1"], max_length=41, long="ends")
    assert tokenise(backbone, [], long="chunks").n_texts == 0


def test_settings_offer_what_can_be_read():
    for kind, ways in ((AdaptConfig, (*LONG, "choose")), (AssessOptions, LONG[:3])):
        for way in ways:
            assert replace(kind(), long=way).long == way
        with pytest.raises(SettingError, match="first, last"):
            replace(kind(), long="middle")
