"""Which texts of a pool to label next: the methods against slow ones, and the command on real files."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest

from commands import ending as tokenworth
from planted import planted_task, rows_of, write_rows
from routes import model_at
from tokenworth.adaptation import adapt, suggest
from tokenworth.errors import SettingError, TaskError
from tokenworth.probes.batch_selection import COMPARING, METHODS, Pool, directions, entropies, margins, select
from tokenworth.tasks import load_task

pytestmark = pytest.mark.formats


def pool_of(n=60, width=6, n_classes=3, n_labelled=5, seed=0):
    rng = np.random.default_rng(seed)
    probability = rng.dirichlet(np.ones(n_classes), n)
    return Pool(probability, rng.normal(size=(n, width)) + 3, rng.normal(size=(n_labelled, width)) + 3)


# --- arrays in, rows out


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [1, 7, 60, 100])
def test_every_method_chooses_each_text_once_and_the_same_again(method, n):
    pool = pool_of()
    chosen = select(method, pool, n, seed=3)
    assert len(set(chosen.tolist())) == len(chosen) == min(n, 60)
    assert chosen.tolist() == select(method, pool, n, seed=3).tolist()


@pytest.mark.parametrize("method", METHODS)
def test_texts_that_are_all_alike_can_be_chosen_from(method):
    alike = Pool(np.full((9, 2), 0.5), np.ones((9, 4)), np.ones((2, 4)))
    assert sorted(select(method, alike, 9)) == list(range(9))


def test_the_unsure_come_first():
    pool = pool_of()
    ordered = [sorted(row) for row in pool.probability_NC.tolist()]
    by_margin = sorted(range(60), key=lambda place: ordered[place][-1] - ordered[place][-2])
    assert select("margin", pool, 10).tolist() == by_margin[:10]
    by_entropy = sorted(range(60), key=lambda place: sum(p * np.log(p) for p in ordered[place]))
    assert select("entropy", pool, 10).tolist() == by_entropy[:10]
    assert margins(np.array([[0.7, 0.3], [1.0, 0.0]])).tolist() == pytest.approx([0.4, 1.0])
    assert entropies(np.array([[0.5, 0.5], [1.0, 0.0]])).tolist() == pytest.approx([np.log(2), 0.0])


def slow_centres(rows, labelled, n):
    """Each time the text whose nearest labelled or chosen one is farthest, distances written out."""
    chosen = []
    for _ in range(n):
        known = [*labelled, *(rows[place] for place in chosen)]
        left = [place for place in range(len(rows)) if place not in chosen]
        chosen.append(max(left, key=lambda place: min(1 - rows[place] @ other for other in known)))
    return chosen


def test_coverage_is_k_centre_greedy_and_spread_the_same_among_the_unsure():
    pool = pool_of()
    about = pool.features_ND.mean(0)
    rows, labelled = directions(pool.features_ND, about), directions(pool.labelled_LD, about)
    assert select("coverage", pool, 12).tolist() == slow_centres(rows, labelled, 12)
    unsure = select("margin", pool, 30)
    assert select("spread", pool, 6).tolist() == [unsure[place] for place in slow_centres(rows[unsure], labelled, 6)]
    alone = select("coverage", pool._replace(labelled_LD=None), 3)
    assert alone[0] == (rows @ rows.mean(0)).argmax()


def test_badge_draws_in_proportion_to_the_distance_of_whole_gradients():
    """Two draws of 20,000 seeds against probabilities from gradients that are written out."""
    pool = pool_of(n=6, width=3)
    rows = directions(pool.features_ND, pool.features_ND.mean(0))
    residual = pool.probability_NC - np.eye(3)[pool.probability_NC.argmax(1)]
    gradients = np.stack([np.outer(a, z).ravel() for a, z in zip(residual, rows, strict=True)])
    first = (gradients**2).sum(1).argmax()
    share = ((gradients - gradients[first]) ** 2).sum(1)
    drawn = np.array([select("badge", pool, 2, seed) for seed in range(4000)])
    assert set(drawn[:, 0]) == {first}
    found = np.bincount(drawn[:, 1], minlength=6) / len(drawn)
    np.testing.assert_allclose(found, share / share.sum(), atol=0.03)  # four standard errors


@pytest.mark.parametrize("method", sorted(COMPARING))
def test_methods_that_compare_texts_need_features(method):
    with pytest.raises(ValueError, match="needs features"):
        select(method, Pool(np.full((4, 2), 0.5)), 2)


# --- the command


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    task = planted_task(60, 40)
    model_at(home)
    write_rows(home / "reviews.csv", rows_of(task))
    fresh = planted_task(80, 10, seed=5).train.texts
    texts = [*fresh, *fresh[:5], task.train.texts[0], " ", "=w11 w12"]
    pd.DataFrame({"text": texts}).to_csv(home / "pool.csv", index=False)
    probe = ("--route", "probe", "--model", "llama", "--keep-training")
    for route, out in ((probe, "probe"), (("--route", "bow"), "bow")):
        tokenworth("adapt", "reviews.csv", *route, "--out", out, "--quiet", cwd=home)
    return home


def test_suggest_writes_a_file_that_is_ready_to_be_labelled(home):
    said = tokenworth("suggest", "probe", "pool.csv", "--n", 12, "--to", "next.csv", cwd=home).err
    assert "12 texts to label: next.csv" in said
    table = pd.read_csv(home / "next.csv")
    assert list(table)[:2] == ["text", "label"]
    assert table["label"].isna().all()
    assert table["why"].str.fullmatch(r"class [01] \(\d+ %\) or class [01] \(\d+ %\); nearest labelled .*").all()
    pool = pd.read_csv(home / "pool.csv", skip_blank_lines=False)["text"]
    assert table["text"].str.removeprefix("'").tolist() == pool[table["row"]].tolist()
    assert table["text"].is_unique
    labelled = table.assign(label=[f"class {place % 2}" for place in range(len(table))])
    labelled.to_csv(home / "labelled.csv", index=False)
    task = load_task(home / "labelled.csv")
    assert len(task.train) + len(task.test) == 12


def test_repeated_empty_and_labelled_texts_are_left_out(home):
    said = tokenworth("suggest", "probe", "pool.csv", "--n", 200, "--json", cwd=home)
    rows = json.loads(said.out)
    texts = pd.read_csv(home / "pool.csv", skip_blank_lines=False)["text"].tolist()
    kept = {row["row"] for row in rows}
    assert planted_task(60, 40).train.texts[0] not in {row["text"] for row in rows}
    assert not kept & set(range(80, 87))
    assert 87 in kept  # the last one
    assert all(row["text"] == texts[row["row"]] for row in rows)
    assert "texts of the pool are new" in said.err


def test_the_pool_goes_through_the_model_once(home, monkeypatch):
    first = suggest(home / "probe", home / "pool.csv", n=9)
    monkeypatch.setattr("tokenworth.encode.forward_pass.run_batch", lambda *_: pytest.fail("a forward pass was made"))
    pd.testing.assert_frame_equal(suggest(home / "probe", home / "pool.csv", n=9), first)
    chosen = [set(suggest(home / "probe", home / "pool.csv", n=9, by=how)["row"]) for how in METHODS]
    assert len({frozenset(rows) for rows in chosen}) > 3
    assert all(len(one & other) < 9 for one, other in itertools.combinations(chosen[2:], 2))


def test_other_routes_choose_by_how_unsure_they_are(home):
    told = json.loads(tokenworth("suggest", "bow", "pool.csv", "--n", 5, "--json", cwd=home).out)
    found = [row["margin"] for row in told]
    assert found == sorted(found)
    assert "nearest" not in told[0]["why"]
    refused = tokenworth("suggest", "bow", "pool.csv", "--by", "badge", cwd=home, code=2)
    assert "choose margin, entropy or random" in refused.err
    with pytest.raises(SettingError, match="by"):
        suggest(home / "bow", home / "pool.csv", by="luck")


def test_a_pool_without_new_texts_is_one_sentence(home, tmp_path):
    task = planted_task(60, 40)
    pd.DataFrame({"text": task.train.texts}).to_csv(tmp_path / "old.csv", index=False)
    adapt(str(home / "llama"), task, "probe", out=tmp_path / "run", config={"keep_training": True})
    with pytest.raises(TaskError, match="holds no text that is not labelled already"):
        suggest(tmp_path / "run", tmp_path / "old.csv")
