"""The numbers of an assessment: against a slow second computation, against chance, and against what may not matter."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import transformers

import slow_truth as slow
import tokenworth as tw
from planted import planted_task, with_parts
from small_models import write_folder

CLOSED_FORMS = ["ntps", "retained_auc", "retained_raw_auc", "k90", "ar_r2", "label_r2", "hscore", "logme"]
ON_TEST = ["probe_accuracy", "probe_f1", "knn_accuracy", "knn_f1"]
ON_TRAIN = ["cv_accuracy", "cv_f1", "cv_loss", "penalty"]


def assess(*args, **settings):
    """Of mean pooling alone, whose numbers the closed forms share; the choice among poolings has tests of its own."""
    return tw.assess(*args, **{"pooling": "mean", **settings})


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("model") / "llama", "llama")


@pytest.fixture(scope="module")
def task():
    return planted_task(120, 100)


@pytest.fixture(scope="module")
def result(llama, task):
    return assess(str(llama), task, dtype="float64")


def test_the_table(result):
    table = result.table()
    first = [
        "layer",
        "ntps",
        "retained_auc",
        "k90",
        "ar_r2",
        "probe_accuracy",
        "probe_f1",
        "hscore",
        "logme",
        "knn_accuracy",
    ]
    assert list(table.columns[: len(first)]) == first
    assert table["layer"].tolist() == [0, 1, 2, 3]
    assert table[first].notna().all().all()
    for name in ("probe_accuracy", "probe_f1", "knn_accuracy", "cv_accuracy", "hscore", "retained_auc", "k90", "logme"):
        assert (table[f"{name}_low"] <= table[name]).all()
        assert (table[name] <= table[f"{name}_high"]).all()


def test_the_main_figures(result):
    stages = {"load", "tokenise", "encode", "scores", "probes"}
    inside = {f"encode: {part}" for part in ("forward", "pooling", "moments", "checkpoint")}
    assert {*stages, "total"} == set(result.timings) - inside
    assert all(seconds >= 0 for seconds in result.timings.values())
    assert result.timings["total"] >= sum(result.timings[name] for name in stages)
    if not result.forward_pass["reused"]:
        assert inside < set(result.timings)
        assert result.timings["encode"] >= sum(result.timings[name] for name in inside)
    summary = result.summary()
    assert summary["best_layer"] == result.best_layer
    assert summary["probe_f1"] == result.row(result.best_layer)["probe_f1"] == result.row()["probe_f1"]
    assert summary["bow_f1"] > 0.9
    assert sum(result.best_layer_frequency.values()) == pytest.approx(1)


def test_the_planted_signal_is_found(result):
    """Mean pooling keeps the counts of words, so a linear read-out of the embedding sees the class."""
    assert result.row(0)["probe_accuracy"] > 0.9
    assert result.row(0)["knn_accuracy"] > 0.8
    assert result.row(0)["label_r2_low"] > 0.3
    assert result.best_layer == 0


def test_chance_levels_are_near_chance(result):
    table = result.table()
    for name in ("probe_accuracy_chance", "knn_accuracy_chance", "probe_f1_chance"):
        assert table[name].between(0.4, 0.6).all(), name
    assert table["label_r2_chance"].abs().max() < 0.1
    assert table["hscore_chance"].max() < 0.3
    assert (table["logme_chance"] < table["logme"]).all()
    assert np.allclose(table["retained_auc_chance"], _area(np.arange(1, 33) / 32))


def test_predictions_and_tables_agree(result, task):
    counts = np.array(result.confusion["counts"])
    assert counts.sum(1).tolist() == np.bincount(task.test.labels).tolist()
    best = next(probe for probe in result.probes if probe["name"] == result.confusion["probe"])
    hits = np.mean(np.array(result.predictions) == task.test.labels)
    assert best["accuracy"] == pytest.approx(hits) == pytest.approx(counts.trace() / counts.sum())
    kinds = [probe["kind"] for probe in result.probes]
    assert kinds == ["majority", "bow", "ridge", "logistic", "logistic", "logistic"]
    majority = np.bincount(task.train.labels).argmax()
    assert result.probes[0]["accuracy"] == pytest.approx(np.mean(task.test.labels == majority))


def test_the_best_probe_is_chosen_on_training_texts(result):
    candidates = [probe for probe in result.probes if probe["layer"] is not None]
    best = max(candidates, key=lambda probe: probe["cv_accuracy"])
    assert best["name"] == result.confusion["probe"]


# --- a second computation


def _area(curve):
    log_k = np.log2(np.arange(1, len(curve) + 1))
    return np.trapezoid(curve, log_k) / log_k[-1]


def hidden_states(folder, texts, layer, states):
    """States (T, D) of each text alone, from the model's own record, in float64; if normalised each over its size."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float64).eval()
    with torch.no_grad():
        raw = [
            model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states[layer][0].numpy()
            for text in texts
        ]
    return raw if states == "raw" else [one / np.sqrt((one**2).mean(1, keepdims=True)) for one in raw]


@pytest.fixture(scope="module", params=["normalised", "raw"])
def states(request):
    return request.param


@pytest.fixture(scope="module")
def read(llama, task, states, result):
    """The assessment of these states."""
    return result if states == "normalised" else assess(str(llama), task, dtype="float64", states=states)


@pytest.fixture(scope="module", params=[2, 3], ids=["layer 2", "after the last norm"])
def by_hand(request, llama, task, states):
    """Layer, sample and pooled test texts, nothing of them from the package's own forward pass.

    The context is that of all texts, the labels are those of the training texts.
    """
    train, test = (hidden_states(llama, part.texts, request.param, states) for part in (task.train, task.test))
    if states == "normalised":
        scale = np.concatenate([one[1:] for one in train + test]).std(0)
        train, test = ([one / scale for one in part] for part in (train, test))
    pooled = [np.stack([one.mean(0) for one in part]) for part in (train, test)]
    return request.param, slow.Sample(train + test, pooled[0], task.train.labels, 2), pooled[1]


def test_closed_forms_equal_the_slow_truth(by_hand, read):
    """Features are stored in float32, which moves the scores of these layers by 1e-5 at most."""
    layer, sample, _ = by_hand
    row = read.row(layer)
    assert row["ntps"] == pytest.approx(slow.ntps(sample, 8), abs=1e-4)
    assert row["ar_r2"] == pytest.approx(slow.ar_r2(sample.texts, 8), abs=1e-6)
    y = slow.one_hot(sample.labels, 2)
    gains = slow.gains(slow.encoder(sample.texts)[0], sample.z, y)
    curve = slow.adjusted(gains, ((y - y.mean(0)) ** 2).sum() / len(y), len(y))
    assert row["retained_auc"] == pytest.approx(_area(curve), abs=1e-4)
    assert row["k90"] == 1 + np.argmax(curve >= 0.9)
    assert row["retained_raw_auc"] == pytest.approx(_area(gains / gains[-1]), abs=1e-4)
    assert row["hscore"] == pytest.approx(slow.hscore(sample.z, sample.labels, 2), abs=1e-5)
    assert row["logme"] == pytest.approx(slow.logme(sample.z, sample.labels, 2), abs=1e-4)


def test_closed_forms_equal_those_of_the_scores_room(by_hand, read):
    layer, sample, _ = by_hand
    context, pooled = slow.context_of(sample), slow.pooled_of(sample)
    row = read.row(layer)
    assert row["ntps"] == pytest.approx(tw.scores.ntps(context, pooled, 0.25), abs=1e-4)
    assert row["ar_r2"] == pytest.approx(tw.scores.ar_r2(context, 0.25), abs=1e-6)
    assert row["retained_auc"] == pytest.approx(_area(tw.scores.retained(context, pooled).numpy()), abs=1e-4)
    assert row["hscore"] == pytest.approx(tw.scores.hscore(pooled), abs=1e-6)
    assert row["logme"] == pytest.approx(tw.scores.logme(pooled), abs=1e-6)


def test_probes_equal_the_slow_truth(by_hand, read, task):
    layer, sample, test_z = by_hand
    row, y = read.row(layer), slow.one_hot(sample.labels, 2)
    best = slow.gcv_penalty(sample.z, y)
    assert row["penalty"] == pytest.approx(best)
    decision = (test_z - sample.z.mean(0)) @ slow.ridge_weights(sample.z, y, best) + y.mean(0)
    assert row["probe_accuracy"] == np.mean(decision.argmax(1) == task.test.labels)
    assert row["knn_accuracy"] == np.mean(nearest(sample.z, sample.labels, test_z) == task.test.labels)


def nearest(train, labels, test, k=10):
    """Majority of the k most similar training texts, similarity by angle about the training mean."""
    predicted = []
    for text in test - train.mean(0):
        angle = (train - train.mean(0)) @ text / np.linalg.norm(train - train.mean(0), axis=1) / np.linalg.norm(text)
        among = np.argsort(-angle)[:k]
        votes = [(np.sum(labels[among] == c), angle[among][labels[among] == c].sum(), c) for c in (0, 1)]
        predicted.append(max(votes)[2])
    return np.array(predicted)


# --- labels


def test_the_layer_is_chosen_without_the_test_labels(llama, task, result):
    shuffled = np.random.default_rng(1).permutation(task.test.labels)
    other = assess(str(llama), with_parts(task, test={"labels": shuffled}), dtype="float64")
    assert other.best_layer == result.best_layer
    assert other.best_layer_frequency == result.best_layer_frequency
    assert other.predictions == result.predictions
    chosen_on_train = [name for name in result.table() if not name.startswith(("probe", "knn", "logistic"))]
    assert {*CLOSED_FORMS, "cv_accuracy", "cv_loss", "penalty"} <= set(chosen_on_train)
    pd.testing.assert_frame_equal(other.table()[chosen_on_train], result.table()[chosen_on_train], check_exact=True)
    assert other.row()["probe_accuracy"] != result.row()["probe_accuracy"]


def test_labels_without_a_meaning_leave_nothing_to_read(llama, task, result):
    """Half of each true class gets each label.  (A plain shuffle of 120 labels keeps a correlation with the true ones
    of .09 or so, which a probe on planted features does find.)  Two and a half standard errors of 100 are .125."""
    meaningless = np.empty(120, dtype=np.int64)
    for c in (0, 1):
        meaningless[task.train.labels == c] = np.arange(60) % 2
    other = assess(str(llama), with_parts(task, train={"labels": meaningless}), dtype="float64")
    table = other.table()
    for name in ("probe_accuracy", "knn_accuracy", "cv_accuracy"):
        assert table[name].between(0.375, 0.625).all(), name
    assert table["label_r2"].fillna(0).max() < 0.2
    assert (table["hscore"] < result.table()["hscore"]).all()
    assert (table["logme"] < result.table()["logme"]).all()
    assert table["ar_r2"].tolist() == result.table()["ar_r2"].tolist()  # it sees no labels


# --- seeds and batches


def test_the_same_seed_gives_the_same_numbers(llama, task, result):
    again = assess(str(llama), task, dtype="float64")
    pd.testing.assert_frame_equal(again.table(), result.table(), check_exact=True)
    assert again.sentences == result.sentences
    assert again.predictions == result.predictions
    assert again.curves.keys() == result.curves.keys()
    for name, curve in again.curves.items():
        np.testing.assert_array_equal(curve, result.curves[name])


def test_another_seed_changes_only_what_is_random(llama, task, result):
    """Not the scores themselves, which a seed has no part in: folds, shuffles and what is derived from them."""
    other = assess(str(llama), task, dtype="float64", seed=1).table()
    same = [*CLOSED_FORMS, *ON_TEST, "penalty"]
    mine = result.table()
    # folds add up in another order
    pd.testing.assert_frame_equal(other[same], mine[same], check_exact=False, rtol=1e-9)
    for name in ("ntps_chance", "probe_accuracy_chance", "hscore_low", "retained_auc_high", "cv_loss"):
        assert (other[name] != mine[name]).all(), name


def test_batches_do_not_move_the_numbers(llama, task):
    one, many = (assess(str(llama), task, dtype="float32", layers="2-3", batch_tokens=n).table() for n in (11, 10**6))
    columns = [name for name in one if not name.startswith(("logistic", "k90"))]
    pd.testing.assert_frame_equal(one[columns], many[columns], check_exact=False, rtol=2e-3, atol=2e-3)


def test_a_layer_alone_has_the_numbers_it_has_among_all(llama, task, result):
    alone = assess(str(llama), task, dtype="float64", layers=1).row(1)
    among = result.row(1)
    assert {name: alone[name] for name in [*CLOSED_FORMS, *ON_TEST, *ON_TRAIN]} == {
        name: among[name] for name in [*CLOSED_FORMS, *ON_TEST, *ON_TRAIN]
    }


def test_a_baseline_once_fitted_is_taken_as_it_is(llama, task, monkeypatch):
    import tokenworth.assessment.probe_table as probing

    row = probing.bow_row(task)
    monkeypatch.setattr(probing, "bow_row", lambda _task: pytest.fail("fitted again"))
    result = assess(str(llama), task, dtype="float32", layers="last", baseline={**row, "f1": 0.125})
    assert result.summary()["bow_f1"] == 0.125
    assert "predictions" not in result.probes[1]


def test_random_twins_differ_by_seed(llama, task):
    small = replace(task, train=task.train.take(np.arange(20)), test=task.test.take(np.arange(20)))
    a, b = (assess(f"{llama}@random", small, dtype="float32", layers=[1], seed=seed) for seed in (0, 1))
    assert a.backbone["random"]
    assert a.backbone["name"] == "llama@random"
    assert a.backbone["fingerprint"] != b.backbone["fingerprint"]
    assert not math.isclose(a.row()["ar_r2"], b.row()["ar_r2"])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cuda_device_gives_the_numbers_of_the_cpu(llama, task, result):
    table = assess(str(llama), task, dtype="float64", device="cuda").table()
    columns = [*CLOSED_FORMS, *ON_TEST]
    pd.testing.assert_frame_equal(table[columns], result.table()[columns], check_exact=False, rtol=1e-4, atol=1e-4)
