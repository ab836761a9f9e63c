"""The published protocol: read-outs against scikit-learn, the choice of layer and k against data without a signal."""

import json

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import StandardScaler

from commands import tokenworth
from planted import planted_task, rows_of, write_rows
from routes import model_at
from slow_truth import one_hot
from tokenworth.backbones import load_backbone
from tokenworth.encode import tokenise
from tokenworth.features import PassSettings, gather_features, temporary_store
from tokenworth.scores import PooledMoments, ntps
from tokenworth.study import Sweep, choose
from tokenworth.study.cell_results import PUBLISHED
from tokenworth.study.layer_and_k import spearman_grid
from tokenworth.study.published_protocol import SHARES, published_protocol, squared_error
from tokenworth.tasks import load_task


def sweep_of(score_TLK, outcome_TL):
    tasks = tuple(f"task{i}" for i in range(len(score_TLK)))
    return Sweep("accuracy", "small", tasks, SHARES, score_TLK, outcome_TL)


@pytest.mark.parametrize(("n", "dim"), [(60, 8), (20, 30)])
def test_the_error_of_least_squares_on_its_own_rows(n, dim):
    rng = np.random.default_rng(n)
    z, labels = rng.normal(size=(n, dim)) + 5, np.arange(n) % 3
    z[:, 0] = z[:, 1]  # a direction without variance
    moments = PooledMoments(dim, 3).update(torch.from_numpy(z), torch.from_numpy(labels))
    y = one_hot(labels, 3)
    residual = y - LinearRegression().fit(z, y).predict(z)
    assert squared_error(moments) == pytest.approx((residual**2).mean(), abs=1e-9)


def test_every_layer_and_k_has_scipys_correlation():
    rng = np.random.default_rng(0)
    score, outcome = rng.normal(size=(9, 3, 19)), rng.normal(size=(9, 3)).round(1)
    score[4, 1, 0] = np.nan
    found = spearman_grid(score, outcome)
    assert found[2, 7] == pytest.approx(spearmanr(score[:, 2, 7], outcome[:, 2]).statistic)
    assert np.isnan(found[1, 0])
    assert np.isnan(found).sum() == 1


def test_a_choice_among_noise_looks_like_a_finding_and_is_told_apart():
    """Twelve tasks, seven layers and nineteen k without any relation, as many points as a published panel has."""
    found = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        found.append(choose(sweep_of(rng.normal(size=(12, 7, 19)), rng.normal(size=(12, 7))), seed=seed))
    assert np.mean([one.r for one in found]) > 0.6
    assert np.mean([one.p < 0.05 for one in found]) > 0.9, "as published nearly every panel is significant"
    assert np.mean([one.p_chosen < 0.05 for one in found]) < 0.3
    assert 0.3 < np.mean([one.p_chosen for one in found]) < 0.7
    assert abs(np.mean([one.r_elsewhere for one in found])) < 0.15


def test_a_relation_that_is_there_survives():
    rng = np.random.default_rng(1)
    score, outcome = rng.normal(size=(12, 7, 19)), np.repeat(np.arange(12.0)[:, None], 7, axis=1)
    score[:, 3, 5:] = outcome[:, 3, None] + rng.normal(size=(12, 14))
    one = choose(sweep_of(score, outcome))
    assert one.layer == 3
    assert one.share in SHARES[5:]
    assert one.p_chosen < 0.01
    assert one.r_elsewhere > 0.7


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Six tasks and a study of the published protocol."""
    home = tmp_path_factory.mktemp("published")
    model_at(home)
    names = [f"t{i}" for i in range(6)]
    for i, name in enumerate(names):
        write_rows(home / f"{name}.csv", rows_of(planted_task(60, 40, seed=i)))
    tasks = ", ".join(f"{name}.csv" for name in names)
    (home / "study.yaml").write_text(
        f"backbones: [llama]\ntasks: [{tasks}]\nroutes: {{assess: , published: , probe: , lora: {{steps: 2}}}}\n"
        "settings: {pooling: mean, mislabelled: false}\n"
    )
    return home


@pytest.fixture(scope="module")
def finished(home):
    ended = tokenworth("study", "run", "study.yaml", "--workers", 1, "--quiet", cwd=home)
    assert ended.code == 0, ended.err
    return home


@pytest.mark.formats
@pytest.mark.slow
def test_a_cell_of_the_published_protocol(finished):
    made = [path.parent for path in (finished / "out/study/study/cells").rglob(PUBLISHED)]
    assert len(made) == 6
    for folder in made:
        found = json.loads((folder / PUBLISHED).read_text())
        assert found["pass_reused"], "the pass is that of assess"
        assert found["shares"] == list(SHARES)
        for row in found["layers"]:
            assert len(row["ntps"]) == len(SHARES)
            assert 0.5 <= row["train_accuracy"] <= 1
            assert 0 <= row["train_squared_error"] <= 0.25


@pytest.mark.formats
@pytest.mark.slow
def test_the_page_says_what_the_choice_is_worth(finished):
    ended = tokenworth("study", "figures", "study.yaml", "--quiet", cwd=finished)
    assert ended.code == 0, ended.err
    page = (finished / "out/study/study/report.html").read_text()
    assert "What a chosen layer and k are worth" in page
    assert "p, choosing counted" in page
    made = {path.name for path in (finished / "out/study/study/figures").iterdir()}
    assert {"chosen-accuracy.png", "chosen-squared-error.svg", "chosen-gain.png"} <= made
    table = tokenworth("study", "tables", "study.yaml", "--metric", "train_accuracy", cwd=finished)
    assert "published" in table.out


@pytest.mark.formats
def test_scores_and_read_outs_of_a_layer(home):
    """At the largest k the whole null space of two classes is in, so the score does not hang on the basis taken."""
    task = load_task(str(home / "t1.csv"))
    found = published_protocol(str(home / "llama"), task)
    backbone = load_backbone(str(home / "llama"))
    with temporary_store() as store:
        parts = {"train": tokenise(backbone, task.train.texts), "test": tokenise(backbone, task.test.texts)}
        features = gather_features(backbone, parts, PassSettings(layers=(1,)), store)
        rows, context = features.part("train", 1), features.context(1)
    own = next(row for row in found["layers"] if row["layer"] == 1)
    moments = PooledMoments(backbone.width, 2)
    moments.update(torch.from_numpy(rows).double(), torch.from_numpy(task.train.labels))
    assert int(SHARES[-1] * backbone.width) >= backbone.width - 2
    assert own["ntps"][-1] == pytest.approx(ntps(context, moments, SHARES[-1], convention="published-code"), abs=1e-6)
    scaled = StandardScaler().fit_transform(rows)
    model = LogisticRegression(max_iter=1000, tol=1e-2).fit(scaled, task.train.labels)
    assert own["train_accuracy"] == pytest.approx(model.score(scaled, task.train.labels), abs=0.02)
