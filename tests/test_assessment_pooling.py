"""The choice of layer and pooling: what it costs, that training texts alone decide, that its figures are honest."""

import numpy as np
import pytest

import tokenworth as tw
from planted import planted_task, with_parts
from small_models import write_folder
from tokenworth.assessment.layer_choice import Candidate, choose_layer
from tokenworth.encode import Reading

SINGLE = (("mean", "normalised"), ("mean", "raw"), ("last", "normalised"))
EVERY = (*SINGLE, ("last+mean", "normalised"))


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return str(write_folder(tmp_path_factory.mktemp("model") / "llama", "llama"))


@pytest.fixture(scope="module")
def task():
    return planted_task(120, 100)


@pytest.fixture(scope="module")
def result(llama, task):
    return tw.assess(llama, task, dtype="float32")


def test_one_pass_gives_the_probe_of_every_pooling(llama, task, result, monkeypatch):
    def fail(*_args, **_settings):
        raise AssertionError("a forward pass was made")

    monkeypatch.setattr("tokenworth.features.pass_run.encode", fail)
    rows = {(row["layer"], row["pooling"], row["states"]): row for row in result.poolings}
    assert set(rows) == {(layer, *reading) for layer in range(4) for reading in EVERY}
    for how in ("mean", "last", "last+mean"):
        alone = tw.assess(llama, task, dtype="float32", pooling=how)
        for row in alone.layers:
            same = rows[row["layer"], how, "normalised"]
            for name, of_row in (("cv_loss",) * 2, ("cv_accuracy",) * 2, ("accuracy", "probe_accuracy")):
                assert same[name] == pytest.approx(row[of_row], rel=1e-6), (how, row["layer"], name)


def test_what_raw_states_say_is_a_candidate_too(llama, task, result):
    raw = tw.assess(llama, task, dtype="float32", pooling="mean", states="raw")
    of_raw = {row["layer"]: row["cv_loss"] for row in result.poolings if row["states"] == "raw"}
    assert of_raw == pytest.approx({row["layer"]: row["cv_loss"] for row in raw.layers}, rel=1e-6)
    assert raw.best_states == "raw"
    assert {row["states"] for row in raw.poolings} == {"raw"}


def test_the_least_cross_fitted_loss_decides(result):
    best = min(result.poolings, key=lambda row: row["cv_loss"])
    chosen = (result.best_layer, result.best_pooling, result.best_states)
    assert chosen == (best["layer"], best["pooling"], best["states"])
    assert result.row()["probe_accuracy"] == best["accuracy"]
    for row in result.layers:
        here = [other for other in result.poolings if other["layer"] == row["layer"]]
        assert row["cv_loss"] == pytest.approx(min(other["cv_loss"] for other in here))


def test_the_closed_forms_stay_those_of_the_mean(llama, task, result):
    mean = tw.assess(llama, task, dtype="float32", pooling="mean")
    for name in ("ntps", "retained_auc", "ar_r2", "hscore", "logme", "knn_accuracy"):
        assert result.table()[name].tolist() == mean.table()[name].tolist(), name


def test_the_test_texts_have_no_part_in_it(llama, task, result):
    shuffled = np.random.default_rng(1).permutation(task.test.labels)
    other = tw.assess(llama, with_parts(task, test={"labels": shuffled}), dtype="float32")
    assert (other.best_layer, other.best_pooling) == (result.best_layer, result.best_pooling)
    assert other.nested_accuracy == result.nested_accuracy
    assert [row["cv_loss"] for row in other.poolings] == [row["cv_loss"] for row in result.poolings]


def test_joined_poolings_are_tried_on_the_best_layers_alone(llama, task, monkeypatch):
    monkeypatch.setattr("tokenworth.assessment.probe_search.JOINED_LAYERS", 2)
    few = tw.assess(llama, task, dtype="float32")
    single = dict.fromkeys(range(4), 9.0)
    for row in few.poolings:
        if "+" not in row["pooling"]:
            single[row["layer"]] = min(single[row["layer"]], row["cv_loss"])
    joined = {row["layer"] for row in few.poolings if "+" in row["pooling"]}
    assert joined == set(sorted(single, key=single.get)[:2])


# --- what choosing costs


def meaningless(n_candidates, n_texts, seed):
    """Candidates none of which knows anything: hits by chance, and losses that go with them."""
    rng = np.random.default_rng(seed)
    hits = rng.random((n_candidates, n_texts)) < 0.5
    names = [Candidate(layer, Reading()) for layer in range(n_candidates)]
    losses = {name: 1.0 - row + 0.01 * rng.random(n_texts) for name, row in zip(names, hits, strict=True)}
    return hits, losses, rng.permutation(n_texts) % 10


def test_the_nested_figure_is_not_flattered_by_many_candidates():
    """Of 90 candidates without any knowledge the best is .60 by its own figure; chosen without each fold it is .50."""
    best, nested = [], []
    for seed in range(40):
        hits, losses, folds = meaningless(90, 200, seed)
        choice = choose_layer(losses, folds)
        best.append(hits[choice.best.layer].mean())
        nested.append(hits[choice.nested_N, np.arange(200)].mean())
    assert np.mean(best) > 0.58
    assert np.mean(nested) == pytest.approx(0.5, abs=0.03)


def test_the_choice_is_that_of_a_slow_loop():
    _, losses, folds = meaningless(6, 50, 3)
    choice = choose_layer(losses, folds)
    means = {name: row.mean() for name, row in losses.items()}
    assert choice.best == min(means, key=means.get)
    assert list(choice.order) == sorted(means, key=means.get)
    for fold in range(10):
        without = {name: row[folds != fold].mean() for name, row in losses.items()}
        winner = list(losses)[choice.nested_N[folds == fold][0]]
        assert winner == min(without, key=without.get)
    assert sum(choice.frequency.values()) == pytest.approx(1)
    assert choice.candidates == 6


def test_each_layer_stands_once_in_the_order_of_its_best_pooling():
    """However bad a layer's other poolings are: the worst of layer 0 is the worst of all."""
    losses = {
        Candidate(0, Reading("mean")): np.full(20, 0.9),
        Candidate(0, Reading("last")): np.full(20, 0.2),
        Candidate(1, Reading("mean")): np.full(20, 0.3),
        Candidate(1, Reading("last")): np.full(20, 0.4),
        Candidate(2, Reading("mean")): np.full(20, 0.5),
        Candidate(2, Reading("last")): np.full(20, 0.35),
    }
    choice = choose_layer(losses, np.arange(20) % 5)
    assert choice.order == ((0, Reading("last")), (1, Reading("mean")), (2, Reading("last")))
    assert choice.of_layer(1) == (1, Reading("mean"))


def test_labels_without_a_meaning_are_read_at_chance_whatever_is_chosen(llama, task):
    """Figures on test texts are those of one candidate that they did not choose: many candidates do not flatter."""
    hits, flattered = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        meaning = {"labels": rng.permutation(np.arange(120) % 2)}
        other = tw.assess(llama, with_parts(task, train=meaning), dtype="float32", seed=seed, logistic_layers=0)
        hits.append(other.row()["probe_accuracy"])
        flattered.append(other.row()["cv_accuracy"] - other.nested_accuracy)
    assert np.mean(hits) == pytest.approx(0.5, abs=0.1)
    assert np.mean(flattered) >= 0
