"""Stages that ask a model: semantic duplicates and perplexity, against slow loops and planted truths."""

import math
import random

import numpy as np
import pandas as pd
import pytest
import torch

import tokenworth.corpus.deduplication.semantic_duplicates as semantic
import tokenworth.corpus.model_features as models
from small_models import WORDS, write_folder
from test_corpus_build import made, state
from tokenworth.backbones import load_backbone
from tokenworth.corpus.audit import audit, audited
from tokenworth.corpus.deduplication.semantic_duplicates import Vectors, default_clusters, same_meaning
from tokenworth.corpus.engine.shard_store import write_arrays
from tokenworth.corpus.model_features import bits_per_byte, mean_states
from tokenworth.corpus.output.build_report import describe
from tokenworth.errors import BackboneError, SettingError

N, COPIES = 120, 30


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A decoder with random weights that knows sixty words."""
    return str(write_folder(tmp_path_factory.mktemp("model") / "llama", "llama", lm_head=True))


def texts():
    """120 texts of 20 words, then thirty of them in another order."""
    rng = random.Random(0)
    first = [" ".join(rng.choices(WORDS, k=20)) for _ in range(N)]
    return first + [" ".join(rng.sample(text.split(), 20)) for text in first[:COPIES]]


@pytest.fixture
def folder(tmp_path, model):
    every = texts()
    pd.DataFrame({"text": every[:100]}).to_parquet(tmp_path / "one.parquet")
    pd.DataFrame({"text": every[100:]}).to_json(tmp_path / "two.jsonl", orient="records", lines=True)
    return tmp_path


# -- semantic -----------------------------------------------------------------------------------------------------


def test_states_are_means_of_one_text_at_a_time(model):
    backbone = load_backbone(model, dtype="float32")
    own = [*texts()[:7], "w1", ""]
    for layer, index in ((None, 2), (0, 0), (3, 3)):
        found = mean_states(own, model, layer=layer, max_tokens=12)
        for text, state_D in zip(own, found, strict=True):
            ids = torch.tensor([backbone.tokenizer(text)["input_ids"][:12] or [0]])
            with torch.inference_mode():
                output = backbone.model(input_ids=ids, output_hidden_states=True)
            states = [*output.hidden_states[:-1], output.last_hidden_state]
            np.testing.assert_allclose(state_D, states[index][0].mean(0), atol=1e-5)
    with pytest.raises(SettingError, match="has no layer 9; choose from 0"):
        mean_states(own, model, layer=9)


def vectors(tmp_path, states_ND, shards=3):
    """On the disk, an empty shard among them."""
    paths = []
    for number, part in enumerate([*np.array_split(states_ND, shards), states_ND[:0]]):
        write_arrays(tmp_path / f"{number}", {"states": part.astype(np.float32)})
        paths.append(tmp_path / f"{number}")
    return Vectors([paths[-1], *paths[:-1]])


def planted(n, d, share, noise, seed=0):
    """States around a far mean; some of the later ones are earlier ones with noise."""
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(n, d)) * rng.uniform(0.1, 3, d) + 50
    for row in range(n - int(share * n), n):
        states[row] = states[rng.integers(n // 2)] + noise * rng.normal(size=d)
    return states


def slow_leaders(states_ND, threshold):
    """The first kept document a document is close to, by the definition."""
    z = (states_ND - states_ND.mean(0)) / states_ND.std(0)
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    found = []
    for row in range(len(unit)):
        close = [other for other in range(row) if found[other] == other and unit[row] @ unit[other] >= threshold]
        found.append(close[0] if close else row)
    return found


@pytest.mark.parametrize("threshold", [0.3, 0.8, 0.95])
def test_leaders_are_those_of_a_slow_loop(tmp_path, monkeypatch, threshold):
    """Blocks of seven, so that every way through them is taken; at .3 chains of small differences are many."""
    monkeypatch.setattr(semantic, "_BLOCK", 7)
    states = planted(150, 6, 0.4, 0.1).astype(np.float32)
    found = same_meaning(vectors(tmp_path, states), threshold)
    assert found.tolist() == slow_leaders(states.astype(np.float64), threshold)
    assert (found != np.arange(150)).sum() > 20


def test_clusters_part_pairs_and_never_make_any(tmp_path):
    """With sixteen clusters equal vectors still meet, close ones mostly, and no other pair does."""
    states = planted(600, 8, 0.3, 0.02)
    states[599] = states[0]
    own = vectors(tmp_path, states)
    one, many = same_meaning(own, 0.95), same_meaning(own, 0.95, clusters=16)
    assert many[599] == 0
    dropped_one, dropped_many = one != np.arange(600), many != np.arange(600)
    assert dropped_one.sum() >= 180
    assert dropped_many.sum() >= 0.9 * dropped_one.sum()
    unit = own.take(np.arange(600))
    assert ((unit * unit[many]).sum(1) >= 0.95 - 1e-6).all()
    np.testing.assert_array_equal(many, same_meaning(own, 0.95, clusters=16))


def test_edges(tmp_path):
    assert same_meaning(vectors(tmp_path / "none", np.zeros((0, 4))), 0.9).tolist() == []
    assert same_meaning(vectors(tmp_path / "one", np.ones((1, 4))), 0.9).tolist() == [0]
    assert same_meaning(vectors(tmp_path / "flat", np.ones((5, 4))), 0.9).tolist() == list(range(5)), "no direction"
    assert [default_clusters(n) for n in (0, 3_999, 100_000, 10**8)] == [1, 1, 25, 10_000]


def stages(model, **changes):
    return {"semantic": {"model": model, "threshold": 0.9, "layer": 0, **changes}}


def test_texts_in_another_order_are_dropped_and_the_first_stays(folder, model):
    """Layer 0 reads words without their order, so its mean states are equal."""
    flow, kept = made(folder, stages=stages(model))
    assert sorted(kept["text"]) == sorted(texts()[:N])
    report = describe(flow, folder / "out")
    dropped = {row["source"]: row["dropped"] for row in report["stages"] if row["stage"] == "semantic"}
    assert dropped["two"]["semantic duplicate"]["documents"] == COPIES
    assert dropped["one"] == {}
    assert report["clusters"]["semantic"] == {
        "clusters": COPIES, "documents": 2 * COPIES, "largest": 2, "sizes": report["clusters"]["semantic"]["sizes"]
    }  # fmt: skip
    assert report["settings"]["stages"]["semantic"].keys() == {"model", "threshold", "clusters", "layer", "max_tokens"}


def seen(root):
    return {path: path.stat().st_mtime_ns for path in root.rglob("states.npy")}


def test_a_changed_threshold_passes_no_text_through_the_model_again(folder, model):
    flow, _ = made(folder, stages=stages(model))
    before, states = state(flow.root), seen(flow.root)
    made(folder, stages=stages(model))
    assert (state(flow.root), seen(flow.root)) == (before, states)
    _, all_kept = made(folder, stages=stages(model, threshold=1.0, clusters=1))
    assert seen(flow.root) == states
    assert len(all_kept) == N, "equal words have equal states, whatever rounding does"
    made(folder, stages=stages(model, max_tokens=5))
    assert len(seen(flow.root)) == 2 * len(states)


def test_another_model_of_the_same_name_is_noticed(folder, tmp_path):
    place = str(write_folder(tmp_path / "own", "llama", lm_head=True))
    flow, _ = made(folder, stages=stages(place))
    before = seen(flow.root)
    write_folder(tmp_path / "own", "llama", lm_head=True, seed=1)
    made(folder, stages=stages(place))
    assert len(seen(flow.root)) == 2 * len(before)


# -- perplexity ---------------------------------------------------------------------------------------------------


def slow_bits(backbone, text, most=512):
    ids = backbone.tokenizer(text)["input_ids"][: min(most, backbone.max_length)]
    with torch.inference_mode():
        states = backbone.model(input_ids=torch.tensor([ids])).last_hidden_state[0]
        logits = backbone.lm_head(states).double().log_softmax(-1)
    nats = -sum(float(logits[place, ids[place + 1]]) for place in range(len(ids) - 1))
    return nats / math.log(2) / len(backbone.tokenizer.decode(ids[1:], skip_special_tokens=True).encode())


def test_bits_are_those_of_one_text_at_a_time(model):
    own = texts()[:9]
    found = bits_per_byte([*own, "w1", ""], model, max_tokens=15)
    backbone = load_backbone(model, dtype="float32", lm_head=True)
    np.testing.assert_allclose(found[:9], [slow_bits(backbone, text, 15) for text in own], rtol=1e-5)
    assert np.isnan(found[9:]).all()


def test_stages_compute_alike_whatever_auto_is(model, auto):
    """Documents are told apart by their words, not by the rounding of the machine that makes a shard."""
    found = {}
    for dtype in ("float32", "bfloat16"):
        auto(dtype)
        models._loaded.cache_clear()
        found[dtype] = (mean_states(texts()[:7], model), bits_per_byte(texts()[:7], model))
    for wide, narrow in zip(*found.values(), strict=True):
        np.testing.assert_array_equal(narrow, wide)


def test_documents_outside_the_limits_go_under_the_limits_name(folder, model):
    (folder / "two.jsonl").write_text('{"text": "w1"}\n')
    every = texts()[:100]
    backbone = load_backbone(model, dtype="float32", lm_head=True)
    bits = {text: slow_bits(backbone, text) for text in every}
    low, high = np.quantile(list(bits.values()), [0.1, 0.7])
    limits = {"model": model, "min_bits_per_byte": float(low), "max_bits_per_byte": float(high)}
    flow, kept = made(folder, stages={"perplexity": limits})
    assert set(kept["text"]) == {text for text in every if low <= bits[text] <= high} | {"w1"}
    report = describe(flow, folder / "out")
    (one,) = [row for row in report["stages"] if (row["stage"], row["source"]) == ("perplexity", "one")]
    assert {reason: amount["documents"] for reason, amount in one["dropped"].items()} == {
        "min_bits_per_byte": sum(value < low for value in bits.values()),
        "max_bits_per_byte": sum(value > high for value in bits.values()),
    }
    counted = report["facts"]["bits per byte"]
    assert counted.pop("too short") == 1
    assert sum(counted.values()) == 100
    for edge, number in counted.items():
        assert number == sum(float(edge) <= value < float(edge) + 0.25 for value in bits.values())


def test_an_audit_tells_what_models_say_and_changes_nothing(folder, model):
    both = {**stages(model), "perplexity": {"model": model, "max_bits_per_byte": 0.1}}
    made(folder, stages=both | {"perplexity": {"model": model, "max_bits_per_byte": 100}})
    found = audit(audited(folder / "corpus.yaml"))
    assert found["duplicates"]["semantic"]["documents"] == 2 * COPIES
    assert found["perplexity"] == {}
    assert sum(found["bits_per_byte"].values()) == N + COPIES


def test_a_model_that_cannot_do_it_is_one_sentence(folder, tmp_path):
    encoder = str(write_folder(tmp_path / "bert", "bert"))
    with pytest.raises(BackboneError, match="cannot be prompted"):
        made(folder, stages={"perplexity": {"model": encoder, "max_bits_per_byte": 3}})
    with pytest.raises(BackboneError, match="there is no folder"):
        made(folder, stages={"semantic": {"model": "./nowhere"}})
    assert not (folder / "out" / "corpus.json").exists()
