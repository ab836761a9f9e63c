"""Settings of an assessment, and tasks and backbones at the edge of what can be scored."""

import math
from dataclasses import replace

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

import tokenworth as tw
from planted import planted_task, rows_of, with_parts, write_rows
from small_models import write_folder
from tokenworth.assessment.assessment_settings import parse_layers
from tokenworth.assessment.flags import FEW_TOKENS
from tokenworth.errors import EncodeError, SettingError, TaskError


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("model") / "llama", "llama")


@pytest.fixture(scope="module")
def task():
    return planted_task(80, 40)


def assess(model, task, **settings):
    return tw.assess(str(model), task, **{"dtype": "float32", "layers": "last", **settings})


def reasons(result, score):
    return {flag["layer"]: flag["reason"] for flag in result.flags if flag["score"] == score}


# --- which layers


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ("all", (0, 1, 2, 3)), ("last", (3,)), ("0,2", (0, 2)), (" 2 , 0", (0, 2)), ("0-1", (0, 1)),
        ("0-1,3", (0, 1, 3)), ("-1", (3,)), ([-1], (3,)), (-4, (0,)), (2, (2,)), ((2, 2, 0), (0, 2)),
        (range(2), (0, 1)), (np.arange(2), (0, 1)), (np.int64(1), (1,)),
    ],
)  # fmt: skip
def test_layers_are_named_in_many_ways(wish, expected):
    found = parse_layers(wish, 3)
    assert found == expected
    assert {type(layer) for layer in found} == {int}  # what JSON can write


THERE_ARE = "this backbone has layers 0 (embedding output) to 3 (after the last block)"
WRITE = "write all, last, 0,3,6 or 0-6"


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ("99", f"layer 99 does not exist; {THERE_ARE}"), ([1, 4], f"layer 4 does not exist; {THERE_ARE}"),
        (-5, f"layer -5 does not exist; {THERE_ARE}"), ([], f"no layer is named; {THERE_ARE}"),
        ("3-1", f"no layer is named; {THERE_ARE}"), ("top", f"layers 'top' are not understood; {WRITE}"),
        ("0-x", f"layers '0-x' are not understood; {WRITE}"), ("", f"layers '' are not understood; {WRITE}"),
        ("1.5", f"layers '1.5' are not understood; {WRITE}"), (1.5, f"layers 1.5 are not understood; {WRITE}"),
        (["0"], f"layers ['0'] are not understood; {WRITE}"), (None, f"layers None are not understood; {WRITE}"),
    ],
)  # fmt: skip
def test_layers_that_are_not_there(wish, message):
    with pytest.raises(SettingError) as caught:
        parse_layers(wish, 3)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"layers": "0-9"}, ["layer 9 does not exist", "to 3"]),
        ({"pooling": "max"}, ["pooling 'max' is not understood", "mean, last, cls, last+mean"]),
        ({"prefix": "product"}, ["prefix 'product' is not understood", "sum, mean"]),
        ({"max_texts": 0}, ["max_texts = 0", "at least 1"]),
        ({"batch_tokens": 0}, ["batch_tokens must be at least 1, not 0"]),
        ({"max_length": 41}, ["max_length 41 exceeds the 40 tokens"]),
        ({"max_length": 0}, ["max_length 0 leaves no room"]),
        ({"dtype": "float8"}, ["float8", "bfloat16"]),
        ({"device": "abacus"}, ["abacus", "choose one of auto"]),
    ],
)
def test_settings_that_make_no_sense(llama, task, settings, parts):
    with pytest.raises(SettingError) as caught:
        assess(llama, task, **settings)
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


# --- what is encoded


def test_every_pooling_reads_other_features(llama, task):
    results = {how: assess(llama, task, pooling=how) for how in ("mean", "last", "cls", "last+mean")}
    assert len({result.row()["hscore"] for result in results.values()}) == 4
    # A decoder's first token has seen nothing but itself, so texts that begin alike are alike.
    firsts = [text.split()[0] for text in task.train.texts]
    at_best = {
        word: np.mean([y for f, y in zip(firsts, task.train.labels, strict=True) if f == word]) for word in firsts
    }
    ceiling = np.mean([max(share, 1 - share) for share in map(at_best.get, firsts)])
    assert results["cls"].row()["cv_accuracy"] <= ceiling < 1
    assert {result.settings["pooling"] for result in results.values()} == set(results)


def test_two_poolings_together_have_no_subspaces_to_compare(llama, task):
    result = assess(llama, task, pooling="last+mean", layers="0,3")
    for score in ("ntps", "retained_auc", "ar_r2"):
        assert result.table()[score].isna().all()
        found = reasons(result, score)
        assert set(found) == {0, 3}
        assert all("the pooling changes the width" in reason for reason in found.values())
    assert result.table()[["probe_accuracy", "hscore", "logme", "knn_accuracy"]].notna().all().all()
    assert len(result.spectrum["pooled"]) == 64
    assert any("cannot be said here" in sentence for sentence in result.sentences)


def test_prefix_means_are_another_context(llama, task):
    sums, means = (assess(llama, task, prefix=how) for how in ("sum", "mean"))
    assert sums.row()["ar_r2"] != means.row()["ar_r2"]
    assert sums.row()["hscore"] == means.row()["hscore"]


def test_max_texts_samples_every_class_of_both_parts(llama, task):
    few = assess(llama, task, max_texts=10)
    assert few.task["texts"] == {"train": 10, "test": 10}
    assert few.task["counts"]["classes"] == {"train": [5, 5], "test": [5, 5]}
    assert len(few.predictions) == 10
    assert any("10 of 80 training and 10 of 40 test texts" in note for note in few.task["notes"])
    assert few.task["fingerprint"] != assess(llama, task).task["fingerprint"]


def test_long_texts_are_cut_and_counted(llama, task):
    long = with_parts(task, train={"texts": [f"{text} w59" * 9 for text in task.train.texts]})
    tokens = assess(llama, long).task["tokens"]
    assert tokens["train"]["truncated"] > 40
    assert tokens["train"]["max"] == 40
    assert tokens["test"]["truncated"] == 0
    cut = assess(llama, task, max_length=3).task["tokens"]
    assert cut["train"]["max"] == 3
    assert cut["train"]["truncated"] == sum(len(text.split()) > 3 for text in task.train.texts)


def test_dtype_and_device_are_named(llama, task):
    result = assess(llama, task, dtype="bfloat16", layers=0)
    assert (result.backbone["dtype"], result.backbone["device"]) == ("bfloat16", "cpu")
    assert result.row()["probe_accuracy"] > 0.8


def test_conventions_of_the_paper_and_its_code_are_further_columns(llama, task):
    extra = {"ntps_weighted", "ntps_published"}
    assert not extra & set(assess(llama, task).table().columns)
    row = assess(llama, task, conventions=True).row()
    assert all(0 <= row[name] <= 1 for name in extra)


def test_a_path_and_a_loaded_backbone_are_taken_too(llama, task, tmp_path):
    path = write_rows(tmp_path / "reviews.csv", rows_of(task))
    backbone = tw.load_backbone(str(llama), dtype="float32")
    result = tw.assess(backbone, str(path), layers="last")
    assert result.task["name"] == "reviews"
    assert result.task["texts"] == {"train": 84, "test": 36}
    assert result.backbone["name"] == "llama"


def test_progress_counts_the_tokens_of_all_texts(llama, task):
    seen = []
    result = assess(llama, task, batch_tokens=64, cache=False, progress=lambda *report: seen.append(report))
    assert {part for part, _, _ in seen} == {"encode"}
    done = [(n, total) for _, n, total in seen]
    assert len(done) > 2
    assert sorted(done) == done
    assert done[-1] == (sum(result.task["tokens"][part]["total"] for part in ("train", "test")),) * 2


# --- what has no meaning is said


def test_an_encoder_is_flagged_as_not_autoregressive(tmp_path, task):
    result = assess(write_folder(tmp_path, "bert"), task, layers="0,3")
    assert not result.backbone["causal"]
    for score in ("ntps", "ar_r2"):
        assert "not autoregressive" in reasons(result, score)[None]
    assert not any(sentence.startswith("NTPS") for sentence in result.sentences)
    assert result.row(0)["probe_accuracy"] > 0.8


def test_a_decoder_is_not_flagged(llama, task):
    assert not any("autoregressive" in flag["reason"] for flag in assess(llama, task).flags)


def test_scores_of_the_next_token_say_from_how_few_tokens_they_are(tmp_path, llama, task):
    few, enough = assess(llama, task), assess(llama, planted_task(1000, 40))
    tokens, width = few.forward_pass["tokens"], few.backbone["width"]
    said = f"from {tokens:,} tokens, {tokens / width:.0f} for each of the {width} directions"
    assert all(any(said in reason for reason in reasons(few, score).values()) for score in ("ar_r2", "retained_auc"))
    assert enough.forward_pass["tokens"] / enough.backbone["width"] > FEW_TOKENS
    assert not any("directions of a state" in flag["reason"] for flag in enough.flags)
    encoder = assess(write_folder(tmp_path, "bert"), task, layers="3")
    assert not any("directions of a state" in reason for reason in reasons(encoder, "ar_r2").values())


def test_labels_that_use_every_direction_saturate(tmp_path):
    narrow = write_folder(tmp_path, "llama", hidden_size=4, num_attention_heads=2)
    result = assess(narrow, planted_task(100, 40, n_classes=5), layers="1-3")
    table = result.table()
    assert table["ntps"].isna().all()
    assert table["ar_r2"].notna().all()
    assert all("saturated: 5 classes use all 4 directions" in reason for reason in reasons(result, "ntps").values())
    assert set(reasons(result, "ntps")) == {1, 2, 3}


@pytest.mark.parametrize(("n_train", "n_test", "n_classes"), [(4, 2, 2), (6, 1, 3), (33, 4, 2)])
def test_few_texts_give_numbers_and_warnings(llama, n_train, n_test, n_classes):
    """Two texts a class, and just one text more than directions."""
    result = assess(llama, planted_task(n_train, n_test, n_classes), layers="0,3")
    assert len(result.predictions) == n_test
    assert any(f"only {n_test} test text" in flag["reason"] for flag in result.flags)
    assert any("cannot tell signal from chance" in reason for reason in reasons(result, "retained_auc").values())
    assert not math.isnan(result.row()["probe_accuracy"])
    if n_train < 10:
        assert any("the smallest class has 2 training texts" in flag["reason"] for flag in result.flags)


@pytest.mark.parametrize(
    ("shorten", "reason"),
    [
        (lambda text: text.split()[0], "no text has two tokens, so there is no next state to predict"),
        (lambda _text: "", "no text has two tokens, so there is no next state to predict"),
        (lambda _text: "w1 w2 w3", "the pooled texts are all equal, so there is nothing to read a label from"),
    ],
    ids=["one token", "empty", "all equal"],
)
def test_texts_that_say_too_little(llama, task, shorten, reason):
    short = with_parts(
        task,
        train={"texts": [shorten(text) for text in task.train.texts]},
        test={"texts": [shorten(text) for text in task.test.texts]},
    )
    result = assess(llama, short, layers="0,3")
    for score in ("ntps", "retained_auc", "ar_r2"):
        assert reasons(result, score) == {0: reason, 3: reason}
        assert result.table()[score].isna().all()
    assert result.table()["probe_accuracy"].notna().all()
    if "tokens" in reason:
        assert result.task["tokens"]["train"]["one_token"] == 80


def test_some_empty_texts_are_counted_and_kept(llama, task):
    texts = ["", "  ", *task.train.texts[2:]]
    result = assess(llama, with_parts(task, train={"texts": texts}))
    assert result.task["tokens"]["train"]["empty"] == 2
    assert result.task["texts"]["train"] == 80


def test_a_test_part_of_one_class(llama, task):
    rows = np.flatnonzero(task.test.labels == 1)
    result = assess(llama, replace(task, test=task.test.take(rows)), layers="0,3")
    counts = np.array(result.confusion["counts"])
    assert counts[0].sum() == 0
    assert counts[1].sum() == len(rows)
    assert result.row()["probe_accuracy"] == pytest.approx(np.mean(np.array(result.predictions) == 1), abs=0.2)
    assert all(math.isfinite(probe["f1"]) for probe in result.probes)


def test_a_word_in_one_text_alone_is_enough_for_the_bag_of_words(llama):
    """Texts that share no words: scikit-learn's vocabulary of words in two texts would be empty."""
    task = planted_task(8, 4)
    own = [f"x{i} y{i}" for i in range(8)]
    result = assess(llama, with_parts(task, train={"texts": own}, test={"texts": own[:4]}))
    assert result.summary()["bow_f1"] >= 0


def test_groups_and_equal_texts_stay_in_one_fold(llama, task):
    """A text stands twice under other group ids, then under one or none: only then no other fold can tell its label."""
    doubled = with_parts(task, train={"texts": task.train.texts[:40] * 2, "labels": np.tile(task.train.labels[:40], 2)})
    noise = np.random.default_rng(0).permutation(doubled.train.labels[:40])
    doubled = with_parts(doubled, train={"labels": np.tile(noise, 2)})
    apart, grouped, plain = (
        assess(llama, with_parts(doubled, train={"groups": groups}), layers=0).row()["cv_accuracy"]
        for groups in (np.arange(80), np.tile(np.arange(40), 2), None)
    )
    assert grouped == plain < apart - 0.1


def test_one_group_for_all_is_refused(llama, task):
    with pytest.raises(TaskError) as caught:
        assess(llama, with_parts(task, train={"groups": np.zeros(80, dtype=np.int64)}))
    assert "all 80 training texts are of one group" in str(caught.value)
    assert "--group" in str(caught.value)


def test_states_that_are_not_finite_name_layer_and_dtype(tmp_path, task):
    folder = write_folder(tmp_path / "damaged", "llama")
    weights = load_file(folder / "model.safetensors")
    weights["layers.1.mlp.down_proj.weight"] *= 1e38  # finite, and more than a sum of them can be
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncodeError, match=r"damaged at layer 2 are NaN or infinite in float32 \(text \d+\)"):
        assess(folder, task, layers="all")
    assert assess(folder, task, layers="0-1").best_layer in (0, 1)


def test_a_tokenizer_without_padding_token(tmp_path, task):
    with_pad, without = (write_folder(tmp_path / name, "llama", pad=pad) for name, pad in (("a", "<pad>"), ("b", None)))
    assert assess(with_pad, task).row() == assess(without, task).row()
