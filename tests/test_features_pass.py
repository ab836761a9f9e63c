"""One pass, kept: what it leaves, what finds it again, what does not, and how it keeps to its limits."""

import errno
import fcntl
import json
import os
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

import tokenworth as tw
from passes import contents, run_pass, store_at, texts_of
from planted import planted_task
from small_models import write_folder
from tokenworth.backbones import load_backbone
from tokenworth.base.locks import BusyError, is_held, only_writer
from tokenworth.encode import Reading, encode, pool, tokenise
from tokenworth.errors import BackboneError, EncodeError, SettingError, TokenworthError
from tokenworth.features import default_store
from tokenworth.features.layer_groups import layer_groups, moment_bytes
from tokenworth.features.text_set import TextSet
from tokenworth.scores import ContextMoments


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("model") / "llama", "llama")


@pytest.fixture(scope="module")
def backbone(model):
    return load_backbone(str(model), device="cpu", dtype="float32")


@pytest.fixture(scope="module", params=["raw", "normalised"])
def states(request):
    return request.param


@pytest.fixture(scope="module")
def first(model, tmp_path_factory):
    """A finished pass that the tests read and leave alone."""
    return run_pass(model, tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def read(model, tmp_path_factory, states):
    """A finished pass that reads states so."""
    return run_pass(model, tmp_path_factory.mktemp("store"), states=states)


def as_read(values_BTD, states):
    """Each state over its root mean square, the plain way, or as it is."""
    return values_BTD if states == "raw" else values_BTD / values_BTD.square().mean(2, keepdim=True).sqrt()


@pytest.fixture
def no_forward(monkeypatch):
    """From now on a forward pass is a failure."""

    def fail(*_args, **_settings):
        raise AssertionError("a forward pass was made")

    return lambda: monkeypatch.setattr("tokenworth.features.pass_run.encode", fail)


# --- what it leaves


def test_features_and_moments_are_those_of_a_plain_loop(read, backbone, states):
    parts = texts_of()
    moments = {layer: ContextMoments(backbone.width, target_moment=False) for layer in range(4)}
    for part, texts in parts.items():
        tokens = tokenise(backbone, texts)
        pooled = np.zeros((4, len(texts), backbone.width), dtype=np.float32)

        def consume(layer, values, mask, rows, pooled=pooled):
            values = as_read(values, states)
            pooled[layer, rows] = pool(values, mask, "mean")
            moments[layer] = moments[layer].update(values, mask)

        encode(backbone, tokens, consume)
        for layer in range(4):
            np.testing.assert_allclose(read.part(part, layer), pooled[layer], rtol=1e-4, atol=1e-5)
    for layer in range(4):
        ours, theirs = (one.second_moments(center=True) for one in (read.context(layer), moments[layer]))
        for a, b in zip(ours, theirs, strict=True):
            assert (a - b).norm() <= 1e-6 * b.norm()
        assert read.context(layer).n_texts == 200


def test_every_pooling_is_there(read, backbone, states):
    texts = texts_of()["test"]
    for how in ("last", "cls", "last+mean"):
        expected = np.zeros((len(texts), backbone.width * (1 + ("+" in how))), dtype=np.float32)

        def consume(_layer, values, mask, rows, how=how, expected=expected):
            expected[rows] = pool(as_read(values, states), mask, how)

        encode(backbone, tokenise(backbone, texts), consume, layers=[2])
        found = read.part("test", 2, Reading(how, states))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_equal_texts_share_their_features_and_each_counts(model, tmp_path):
    twice = {"train": ["w1 w2 w3", "w4 w5", "w1 w2 w3"], "test": ["w4 w5"]}
    features = run_pass(model, tmp_path, parts=twice)
    train = features.part("train", 3)
    assert (train[0] == train[2]).all()
    assert (features.part("test", 3)[0] == train[1]).all()
    assert features.context(3).n_texts == 4


def test_facts_of_the_pass(first):
    facts = first.facts
    assert not facts["reused"]
    assert facts["tokens"] == first.entry.manifest["n_tokens"] <= facts["padded_tokens"]
    assert (facts["passes"], facts["processes"], facts["halvings"], facts["resumed_from_token"]) == (1, 1, 0, 0)
    stages = ("forward_seconds", "pooling_seconds", "moments_seconds", "checkpoint_seconds")
    assert sum(facts[stage] for stage in stages) == pytest.approx(facts["seconds"], rel=1e-3)


# --- what finds it again


def test_another_split_order_pooling_or_fewer_layers_need_no_forward_pass(model, tmp_path, no_forward):
    before = run_pass(model, tmp_path)
    no_forward()
    texts = [text for part in texts_of().values() for text in part]
    other = run_pass(model, tmp_path, parts={"train": texts[:99:-1], "test": texts[:100]}, layers=(1, 3))
    assert other.facts["reused"]
    assert (other.part("train", 3)[0] == before.part("test", 3)[-1]).all()
    assert (other.part("test", 3) == before.part("train", 3)[:100]).all()
    assert run_pass(model, tmp_path, poolings=("last+mean",)).part("test", 1).shape == (50, 64)


@pytest.mark.parametrize(
    "change",
    [
        {"prefix": "mean"},
        {"batch_tokens": 32},
        {"parts": {"train": ["w1 w2", "w3"], "test": ["w4"]}},
    ],
    ids=["prefix", "batches", "texts"],
)
def test_what_changes_the_states_makes_another_pass(model, tmp_path, change):
    run_pass(model, tmp_path)
    assert not run_pass(model, tmp_path, **change).facts["reused"]


def test_weights_changed_in_memory_are_another_model(model, tmp_path):
    run_pass(model, tmp_path)
    changed = load_backbone(str(model), device="cpu", dtype="float32")
    with torch.no_grad():
        next(changed.model.parameters())[0, 0] += 1e-3
    assert not run_pass(changed, tmp_path).facts["reused"]


def test_new_labels_and_other_scores_assess_without_a_forward_pass(model, tmp_path, no_forward):
    task = planted_task()
    before = tw.assess(str(model), task, dtype="float32", cache=tmp_path)
    no_forward()
    same = tw.assess(str(model), task, dtype="float32", cache=tmp_path, conventions=True)
    assert same.forward_pass["reused"]
    assert same.row(2)["ntps"] == before.row(2)["ntps"]
    assert same.row(2)["probe_f1"] == before.row(2)["probe_f1"]
    flipped = replace(task, train=replace(task.train, labels=1 - task.train.labels[::-1]))
    other = tw.assess(str(model), flipped, dtype="float32", cache=tmp_path)
    assert other.row(2)["probe_f1"] < before.row(2)["probe_f1"]
    assert other.row(2)["ar_r2"] == before.row(2)["ar_r2"]


def test_the_order_of_texts_does_not_matter_to_the_set(backbone):
    one, other = (tokenise(backbone, texts) for texts in (["w1 w2", "w3"], ["w3", "w1 w2"]))
    assert TextSet.of([one]).digest == TextSet.of([other]).digest
    assert TextSet.of([one]).digest != TextSet.of([one, one]).digest


# --- room: layers by groups, the size of the store


def test_layers_that_do_not_fit_take_further_passes_with_equal_numbers(model, tmp_path, first, caplog):
    width = first.entry.manifest["width"]
    with caplog.at_level("INFO", "tokenworth"):
        found = run_pass(model, tmp_path, memory=moment_bytes(2, width))
    assert "passed 2 times, for 2 layers each" in caplog.text
    assert found.facts["passes"] == 2
    for name, tensor in contents(found).items():
        assert (tensor == contents(first)[name]).all(), name


def test_groups_are_few_and_even():
    assert layer_groups(tuple(range(33)), 4096, 10**12) == [tuple(range(33))]
    sizes = [len(group) for group in layer_groups(tuple(range(33)), 8192, moment_bytes(12, 8192))]
    assert sizes == [11, 11, 11]
    assert [len(group) for group in layer_groups((0, 1, 2), 64, 0)] == [1, 1, 1]


def test_the_store_forgets_the_least_recently_used(model, tmp_path):
    sets = [{"train": [f"w{i} w{i + 1}", "w3"], "test": ["w4"]} for i in range(3)]
    size = store_at(tmp_path).kept
    run_pass(model, tmp_path, parts=sets[0])
    one = size()[0].bytes
    time.sleep(0.02)
    run_pass(model, tmp_path, parts=sets[1], max_bytes=2.5 * one)
    time.sleep(0.02)
    assert run_pass(model, tmp_path, parts=sets[0], max_bytes=2.5 * one).facts["reused"]
    time.sleep(0.02)
    run_pass(model, tmp_path, parts=sets[2], max_bytes=2.5 * one)
    assert len(size()) == 2
    assert run_pass(model, tmp_path, parts=sets[0]).facts["reused"]
    assert not run_pass(model, tmp_path, parts=sets[1]).facts["reused"]


def test_only_the_pooling_asked_for_where_room_is_short(model, tmp_path):
    features = run_pass(model, tmp_path, max_bytes=10_000)
    assert features.entry.manifest["poolings"] == ["mean"]
    assert features.part("test", 1).shape == (50, 32), "a pass larger than the store is still used by its own run"


def test_a_pass_larger_than_the_store_does_not_stay(model, tmp_path, monkeypatch):
    monkeypatch.setenv("TOKENWORTH_CACHE_GB", "1e-6")
    result = tw.assess(str(model), planted_task(20, 10), layers="last", dtype="float32", cache=tmp_path)
    assert not result.forward_pass["reused"]
    assert store_at(tmp_path).kept() == []


def test_clear_spares_what_is_recent_and_what_runs(model, tmp_path):
    run_pass(model, tmp_path)
    store = store_at(tmp_path)
    assert store.clear(older_than_days=1) == []
    with store.writing("other"):
        assert [one.state for one in store.kept()] == ["running", "finished"] or len(store.kept()) == 2
        assert [one.state for one in store.clear()] == ["finished"]
        assert [one.state for one in store.kept()] == ["running"]
    assert [one.state for one in store.kept()] == ["interrupted"]
    assert len(store.clear()) == 1


def test_the_default_store_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("TOKENWORTH_CACHE", str(tmp_path))
    monkeypatch.setenv("TOKENWORTH_CACHE_GB", "1.5")
    assert (default_store().root, default_store().max_bytes) == (tmp_path, 1_500_000_000)
    monkeypatch.setenv("TOKENWORTH_CACHE_GB", "much")
    with pytest.raises(SettingError, match="TOKENWORTH_CACHE_GB is 'much'"):
        default_store()
    monkeypatch.delenv("TOKENWORTH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.delenv("TOKENWORTH_CACHE_GB")
    assert default_store().root == tmp_path / "caches" / "tokenworth"


# --- damage, and others


def _cut(path):
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize(
    "name", ["pass.json", "context-2.safetensors", "shard-0-of-1/mean.npy", "shard-0-of-1/rows.npy"]
)
@pytest.mark.parametrize("harm", [_cut, lambda path: path.unlink()], ids=["cut", "gone"])
def test_a_damaged_pass_is_made_again(model, tmp_path, first, name, harm, caplog):
    harm(run_pass(model, tmp_path).entry.folder / name)
    again = run_pass(model, tmp_path)
    assert not again.facts["reused"]
    assert "damaged" in caplog.text
    for key, tensor in contents(again).items():
        assert (tensor == contents(first)[key]).all(), key


def test_two_runs_of_one_pass(model, tmp_path):
    name = run_pass(model, tmp_path).entry.folder.name
    store_at(tmp_path).clear()
    with (
        store_at(tmp_path).writing(name),
        pytest.raises(TokenworthError, match=r"another run is passing the same texts"),
    ):
        run_pass(model, tmp_path)
    assert not run_pass(model, tmp_path).facts["reused"]


def test_two_runs_into_one_folder(model, tmp_path):
    task, out = planted_task(20, 10), tmp_path / "out"
    tw.assess(str(model), task, layers="last", dtype="float32", out=out)
    kept = (out / "assessment.json").read_bytes()
    with only_writer(out, ""), pytest.raises(TokenworthError, match="another run is writing its results into"):
        tw.assess(str(model), task, layers="last", dtype="float32", out=out, seed=1)
    assert (out / "assessment.json").read_bytes() == kept


def test_a_store_that_cannot_be_written(model, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(EncodeError, match=r"cannot be written \(Not a directory\).*--cache"):
        run_pass(model, tmp_path / "file" / "below")


def test_an_older_file_of_results_still_opens(model, tmp_path):
    result = tw.assess(str(model), planted_task(20, 10), layers="last", dtype="float32", out=tmp_path)
    old = json.loads(result.to_json())
    del old["forward_pass"]
    (tmp_path / "assessment.json").write_text(json.dumps(old))
    assert tw.Assessment.load(tmp_path).forward_pass == {}


# --- a model over several places


def test_a_model_spread_over_memory_and_disk_gives_equal_states(model, tmp_path, first):
    places = {"embed_tokens": "cpu", "layers.0": "cpu", "layers.1": "disk", "layers.2": "disk", "norm": "cpu"}
    spread = load_backbone(str(model), device="cpu", dtype="float32", device_map={**places, "rotary_emb": "cpu"})
    assert {weights.device.type for weights in spread.model.parameters()} == {"cpu", "meta"}
    found = run_pass(spread, tmp_path)
    for name, tensor in contents(first).items():
        assert torch.equal(contents(found)[name], tensor), name


@pytest.mark.formats
def test_random_weights_cannot_go_to_the_disk(model):
    with pytest.raises(BackboneError, match="not to the disk"):
        load_backbone(f"{model}@random", device="cpu", device_map={"": "disk"})
    assert load_backbone(f"{model}@random", device="cpu", device_map="auto").n_layers == 3


def test_folders_are_held_on_a_network_file_system(tmp_path, monkeypatch):
    """NFS locks only what is open for writing."""
    lock = fcntl.flock

    def of_nfs(place, operation):
        if fcntl.fcntl(place, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        lock(place, operation)

    monkeypatch.setattr("fcntl.flock", of_nfs)
    with only_writer(tmp_path, ""):
        assert is_held(tmp_path)
        with pytest.raises(BusyError, match="busy"), only_writer(tmp_path, "busy"):
            pass
    assert not is_held(tmp_path)


def test_who_looks_does_not_keep_others_from_writing(tmp_path):
    """A study's status looks at every cell while its cells begin."""
    ended = threading.Event()

    def look():
        while not ended.is_set():
            is_held(tmp_path)
            time.sleep(0.005)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(500):
            with only_writer(tmp_path, "busy"):
                pass
    finally:
        ended.set()
        looking.join()
    assert not list(tmp_path.iterdir())


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch):
    def without(place, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", without)
    with pytest.raises(TokenworthError, match=r"cannot be locked \(No locks available\)"), only_writer(tmp_path, ""):
        pass


def test_a_folder_that_was_renamed_before_it_was_locked_is_not_held(tmp_path, monkeypatch):
    """Between opening and locking, its writer may finish and give it its name."""
    (tmp_path / "pass.part").mkdir()
    opened = os.open

    def open_late(path, *how):
        place = opened(path, *how)
        (tmp_path / "pass.part").rename(tmp_path / "pass")
        return place

    monkeypatch.setattr("tokenworth.base.locks.os.open", open_late)
    with pytest.raises(BusyError), only_writer(tmp_path / "pass.part", "busy"):
        pass
