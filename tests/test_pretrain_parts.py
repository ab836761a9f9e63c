"""Pieces of pretraining against the slow truth: loss, masks, schedules, shards, mixing, held-out figures, settings."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import cross_entropy

from corpora import config_of, run_file, sentences, write_corpus
from tokenworth.base.processes import Processes
from tokenworth.errors import SettingError
from tokenworth.pretraining import (
    ModelConfig,
    PretrainError,
    SourceConfig,
    TokenizerConfig,
    TrainingConfig,
    make_config,
    train_tokenizer,
)
from tokenworth.pretraining.data.mixture import Blocks, Mixture
from tokenworth.pretraining.data.token_shards import pack, read_shards
from tokenworth.pretraining.data.training_data import gather, make_tokenizer, pack_all
from tokenworth.pretraining.held_out_loss import evaluate, read_held_out
from tokenworth.pretraining.learning_rate_schedule import rate_at, trace_steps
from tokenworth.pretraining.next_token_objective import NextToken, document_mask, head_loss, positions_in
from tokenworth.pretraining.published_models import new_model
from tokenworth.tokenizers.document_stream import stream_documents

# -- loss ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [3, 512, 1300])
def test_head_loss_equals_cross_entropy_and_its_gradients(n):
    torch.manual_seed(0)
    states, weight = torch.randn(n, 16), torch.randn(50, 16)
    targets = torch.randint(0, 50, (n,))
    targets[::7] = -1
    found, wanted = ([x.clone().requires_grad_() for x in (states, weight)] for _ in range(2))
    loss = head_loss(*found, targets)
    slow = cross_entropy(wanted[0] @ wanted[1].T, targets, ignore_index=-1, reduction="sum")
    torch.testing.assert_close(loss, slow, rtol=1e-5, atol=1e-4)
    (loss * 0.3).backward()
    (slow * 0.3).backward()
    for own, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(own.grad, other.grad, rtol=1e-4, atol=1e-5)


def test_a_document_is_predicted_as_if_it_stood_alone(tmp_path):
    """Two documents in one sequence: with the mask each one's loss is that of the document by itself."""
    config = config_of(tmp_path)
    tokenizer = make_tokenizer(config, tmp_path / "run")
    for positions in ("rope", "learned"):
        model = new_model(ModelConfig(layers=2, width=32, heads=2, positions=positions), config.training, tokenizer, 0)
        ids = torch.randint(5, 200, (1, 21))
        documents = torch.tensor([[0] * 8 + [1] * 12])
        objective = NextToken(model)
        both, _ = objective(ids[:, :20], ids[:, 1:], documents)
        alone = sum(
            objective(ids[:, a:b], ids[:, a + 1 : b + 1], torch.zeros(1, b - a, dtype=torch.long))[0]
            for a, b in ((0, 8), (8, 20))
        )
        torch.testing.assert_close(both, alone, rtol=1e-5, atol=1e-4)
        across, _ = NextToken(model, cross_documents=True)(ids[:, :20], ids[:, 1:], documents)
        assert (across - both).abs().item() > 1e-3


def test_masks_and_positions_are_those_of_the_definition():
    documents = torch.tensor([[3, 3, 4, 4, 4], [1, 1, 1, 1, 1]])
    assert positions_in(documents).tolist() == [[0, 1, 0, 1, 2], [0, 1, 2, 3, 4]]
    mask = document_mask(documents)
    for b in range(2):
        for t in range(5):
            for s in range(5):
                assert bool(mask[b, 0, t, s]) == (s <= t and documents[b, s] == documents[b, t])
    assert document_mask(documents[1:]) is None


def test_balance_is_least_for_even_experts_and_reaches_the_router(tmp_path):
    config = config_of(tmp_path, model={"layers": 1, "width": 32, "heads": 2, "experts": 4})
    model = new_model(config.model, config.training, make_tokenizer(config, tmp_path / "run"), 0)
    objective = NextToken(model, balance=1.0)
    ids = torch.randint(0, 250, (2, 33))
    _, even = objective(ids[:, :-1], ids[:, 1:], torch.zeros(2, 32, dtype=torch.long))
    assert 1.9 < even.item() < 2.6  # K experts asked of X, evenly: X * K * (1/X) * ... = K
    even.backward()
    assert model.model.layers[0].mlp.gate.weight.grad.abs().sum() > 0


def test_layers_that_are_uneven_in_opposite_ways_are_not_balanced(tmp_path):
    config = config_of(tmp_path, model={"layers": 2, "width": 32, "heads": 2, "experts": 4})
    model = new_model(config.model, config.training, make_tokenizer(config, tmp_path / "run"), 0)
    first = torch.tensor([9.0, 9.0, 0.0, 0.0]).repeat(64, 1)
    layers = (first, first.flip(1))  # together every expert is chosen as often
    balance = NextToken(model, balance=1.0)._balance(SimpleNamespace(router_logits=layers))
    assert balance.item() == pytest.approx(4, rel=1e-3), "2 of 4 experts, each of all tokens: 4 * 2 * (1 * 1/2)"


# -- schedules ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["cosine", "wsd"])
def test_rates_rise_hold_and_fall_as_stated(schedule):
    config = TrainingConfig(
        tokens=1000 * 64, context=8, batch=8, lr=2.0, schedule=schedule, warmup_share=0.1, decay_share=0.2
    )
    rates = [rate_at(step, config) for step in range(config.steps)]
    assert rates[0] == pytest.approx(0.02)
    assert rates[99] == pytest.approx(2.0)
    assert rates[-1] == pytest.approx(0.2)
    assert rates[100:] == sorted(rates[100:], reverse=True)
    middle = {"cosine": 0.2 + 1.8 * (1 + math.cos(math.pi * 450 / 899)) / 2, "wsd": 2.0}[schedule]
    assert rates[550] == pytest.approx(middle)


def test_trace_steps_are_even_in_the_logarithm_of_tokens():
    config = TrainingConfig(tokens=10_000_000, context=100, batch=10, trace_from=100_000, trace_per_decade=2)
    assert trace_steps(config) == [0, 100, 316, 1000, 3162, 10_000]
    assert trace_steps(TrainingConfig(tokens=10_000, context=10, batch=10, trace_per_decade=0)) == [0, 100]


# -- documents and shards -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(sentences(200), TokenizerConfig(vocabulary=300))


@pytest.mark.parametrize("kind", ["txt", "txt.zst", "jsonl", "parquet", "csv", "folder"])
def test_documents_of_every_kind_of_file_are_the_same(tmp_path, kind):
    texts = [f"{text}, said she: ä" for text in sentences(30)]
    path = tmp_path / f"corpus.{kind}"
    if kind == "txt":
        path.write_text("\n\n\n".join(texts), encoding="utf-8")
    elif kind == "txt.zst":
        import pyarrow as pa

        with pa.CompressedOutputStream(pa.OSFile(str(path), "wb"), "zstd") as out:
            out.write("\n\n".join(texts).encode())
    elif kind == "jsonl":
        path.write_text(
            "\n".join(json.dumps({"id": i, "text": text}) for i, text in enumerate(texts)), encoding="utf-8"
        )
    elif kind == "folder":
        path.mkdir()
        for i in (0, 1):
            pd.DataFrame({"text": texts[i * 15 : (i + 1) * 15]}).to_parquet(path / f"part-{i}.parquet")
    else:
        getattr(pd.DataFrame({"text": texts}), {"parquet": "to_parquet", "csv": "to_csv"}[kind])(path, index=False)
    assert list(stream_documents("s", SourceConfig(path=str(path)))) == texts


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.txt", b"caf\xe9", "cannot be read"),
        ("a.txt.zst", b"not compressed at all", "cannot be read"),
        ("a.parquet", b"PAR1 no", "cannot be read"),
        ("a.jsonl", b'{"text": "one"}\n{"tex', "cannot be read"),
        ("a.jsonl", b'{"a": "one", "b": "two"}\n', "say which holds the text"),
        ("a.gz", b"anything", "ends in none of"),
    ],
)
def test_sources_that_cannot_be_read_are_named(tmp_path, name, data, says):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SettingError, match=says):
        list(stream_documents("mine", SourceConfig(path=str(tmp_path / name))))


def test_a_source_that_is_nowhere_is_named(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SettingError, match="no file here and no data set within reach"):
        list(stream_documents("mine", SourceConfig(path="nowhere/at-all")))


def test_shards_hold_every_document_between_separators(tokenizer, tmp_path, monkeypatch):
    """Small shards: joined, the parts give back all documents in order, train and held-out apart."""
    monkeypatch.setattr("tokenworth.pretraining.data.token_shards.SHARD_TOKENS", 1000)
    texts = [*sentences(120), "<|endoftext|> written out"]
    packed = pack(texts, tokenizer, tmp_path / "s", documents_from="x", held_share=0.2, seed=0)
    assert len(packed.train) > 2
    found = {}
    for part in ("train", "held"):
        found[part] = []
        for tokens, starts in zip(*read_shards(tmp_path / "s", part), strict=True):
            assert tokens[-1] == tokenizer.eos_token_id
            ends = [*starts[1:], len(tokens) - 1]
            assert all(tokens[start] == tokenizer.eos_token_id for start in starts)
            found[part] += [tokenizer.decode(tokens[a + 1 : b]) for a, b in zip(starts, ends, strict=True)]
    held = set(found["held"])
    assert [text for text in texts if text not in held] == found["train"]
    assert len(found["train"]) + len(found["held"]) == len(texts)
    assert 8 < len(held) < 45
    assert packed.train_bytes + packed.held_bytes == sum(len(text.encode()) for text in texts)
    assert packed.train_tokens == sum(len(tokens) for tokens in read_shards(tmp_path / "s", "train")[0])


def test_packing_is_done_once_and_foreign_or_damaged_shards_are_refused(tokenizer, tmp_path):
    more = {"documents_from": "x", "held_share": 0.1, "seed": 0}
    first = pack(sentences(50), tokenizer, tmp_path / "s", **more)
    assert pack(iter(()), tokenizer, tmp_path / "s", **more) == first
    other = train_tokenizer(sentences(50, seed=5), TokenizerConfig(vocabulary=280))
    with pytest.raises(SettingError, match="another tokenizer"):
        pack(sentences(50), other, tmp_path / "s", **more)
    with pytest.raises(SettingError, match="other documents"):
        pack(sentences(50), tokenizer, tmp_path / "s", **{**more, "documents_from": "y"})
    shard = tmp_path / "s" / f"{first.train[0]}.tokens.npy"
    shard.write_bytes(shard.read_bytes()[:200])
    with pytest.raises(PretrainError, match="is damaged"):
        read_shards(tmp_path / "s", "train")
    (tmp_path / "s" / "index.json").write_text('{"cut')
    assert pack(sentences(50), tokenizer, tmp_path / "s", **more) == first


# -- mixing -------------------------------------------------------------------------------------------------------


def blocks(name, n_tokens, context=8):
    tokens = np.arange(n_tokens + 1, dtype=np.uint16)
    return Blocks(
        name, [tokens[: n_tokens // 2 + 1], tokens[n_tokens // 2 :]], [np.array([0, 5]), np.array([0])], context, 0
    )


def test_every_sequence_of_a_source_is_seen_once_a_pass():
    own = blocks("a", 160)
    assert len(own) == 20
    for number in (0, 1):
        begins = [int(own.drawn(number * 20 + place)[0][0]) for place in range(20)]
        assert sorted(begins) == list(range(0, 160, 8))
    orders = [[int(own.drawn(number * 20 + place)[0][0]) for place in range(20)] for number in (0, 1)]
    assert orders[0] != orders[1]
    tokens, documents = own.read(0)
    assert tokens.tolist() == list(range(9))
    assert documents.tolist() == [1] * 5 + [2] * 4


def test_sources_are_mixed_by_weight_and_by_annealing_weight_at_the_end():
    config = TrainingConfig(tokens=1000 * 8 * 4, context=8, batch=4, annealing_share=0.25)
    sources = {"a": SourceConfig(path="", weight=3), "b": SourceConfig(path="", weight=1, annealing_weight=9)}
    mixture = Mixture({"a": blocks("a", 800), "b": blocks("b", 160)}, sources, config, seed=0)
    chosen = [[source for source, _ in mixture.step(step)] for step in range(config.steps)]
    assert np.mean(chosen[:750]) == pytest.approx(0.25, abs=0.03)
    assert np.mean(chosen[750:]) == pytest.approx(0.75, abs=0.04)
    again = Mixture({"a": blocks("a", 800), "b": blocks("b", 160)}, sources, config, seed=0)
    assert [again.step(step) for step in range(50)] == [mixture.step(step) for step in range(50)]
    assert sum(mixture.passes()[name] * n for name, n in (("a", 100), ("b", 20))) == pytest.approx(4000)


@pytest.mark.parametrize(("n_tokens", "says"), [(4, "shorter than one sequence"), (24, "less than one batch")])
def test_a_corpus_smaller_than_a_batch_is_refused(n_tokens, says):
    config = TrainingConfig(tokens=1000, context=8, batch=16)
    with pytest.raises(PretrainError, match=says):
        Mixture({"a": blocks("a", n_tokens)}, {"a": SourceConfig(path="")}, config, seed=0)


# -- held-out figures ---------------------------------------------------------------------------------------------


def test_bits_a_byte_equal_those_of_one_token_after_the_other(tmp_path):
    config = config_of(tmp_path, context=16, held_out_tokens=150)
    tokenizer = make_tokenizer(config, tmp_path / "run")
    pack_all(config, tokenizer, tmp_path / "run")
    material = gather(config, tokenizer, tmp_path / "run")
    model = new_model(config.model, config.training, tokenizer, 0).eval()
    found = evaluate(
        NextToken(model, cross_documents=True), material.held_out["one"], 3, torch.device("cpu"), Processes()
    )
    tokens, starts = read_shards(tmp_path / "run" / "shards" / "one", "held")
    ends = [int(end) for end in [*starts[0][1:], len(tokens[0]) - 1] if end <= 150]
    stream = torch.from_numpy(tokens[0][: ends[-1] + 1].astype(np.int64))
    nats = 0.0
    with torch.no_grad():
        for place in range(1, len(stream)):
            begin = (place - 1) // 16 * 16
            logits = model(stream[None, begin:place]).logits[0, -1]
            nats -= logits.log_softmax(-1)[stream[place]].item()
    text = [tokenizer.decode(stream[a + 1 : b]) for a, b in zip(starts[0], ends, strict=False)]
    assert found["nll"] == pytest.approx(nats / (len(stream) - 1), rel=1e-5)
    assert found["bits_per_byte"] == pytest.approx(nats / math.log(2) / len("".join(text).encode()), rel=1e-5)
    assert found["perplexity"] == pytest.approx(math.exp(found["nll"]))


def test_a_first_document_longer_than_the_limit_is_measured_whole(tmp_path, tokenizer):
    pack(sentences(3), tokenizer, tmp_path / "s", documents_from="x", held_share=1.0, seed=0)
    held = read_held_out(tmp_path / "s", 8, 1)
    assert held.bytes == len(sentences(3)[0].encode())


# -- settings -----------------------------------------------------------------------------------------------------

GOOD = {"sources": {"a": "a.txt"}}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, "needs sources"),
        ({"sources": {"a": {"weight": 1}}}, "names no path"),
        ({"sources": {"a": {"path": "x", "weigth": 1}}}, "did you mean 'weight'"),
        ({"sources": {"a": {"path": "x", "weight": -1}}}, "weight must be at least 0, not -1"),
        ({"sources": {"a": {"path": "x", "weight": 0}}}, "add up to 0"),
        ({**GOOD, "trainig": {}}, "did you mean 'training'"),
        ({**GOOD, "training": {"contxt": 5}}, "did you mean 'context'"),
        ({**GOOD, "training": {"tokens": 100}}, "less than one step"),
        ({**GOOD, "training": {"schedule": "linear"}}, "choose one of cosine, wsd"),
        ({**GOOD, "training": {"ring": True, "shard": True}}, "choose one of the two"),
        ({**GOOD, "training": {"final_share": 2}}, "final_share must be at least 0 and at most 1, not 2"),
        ({**GOOD, "model": {"norm_place": "sandwich"}}, "choose one of pre, post"),
        ({**GOOD, "held_out": {"a": "b.txt"}}, "two different names"),
        ({**GOOD, "model": 5}, "lines of its own"),
    ],
)
def test_mistakes_in_the_file_are_one_sentence(values, says):
    with pytest.raises(SettingError, match=says):
        make_config(values)


def test_paths_are_relative_to_the_file_and_flags_go_before_it(tmp_path):
    from tokenworth.pretraining import read_config

    config = read_config(run_file(tmp_path), tokens=1280, seed=7)
    assert config.sources["one"].path == str(tmp_path / "one.txt")
    assert (config.training.tokens, config.seed, config.training.steps) == (1280, 7, 10)


def test_a_vocabulary_the_corpus_does_not_support_is_refused(tmp_path):
    write_corpus(tmp_path / "one.txt", n=5)
    config = make_config({"sources": {"a": "one.txt"}, "tokenizer": {"vocabulary": 5000}}, home=tmp_path)
    with pytest.raises(SettingError, match=r"support a vocabulary of \d+ pieces, not 5,000"):
        make_tokenizer(config, tmp_path / "run")
