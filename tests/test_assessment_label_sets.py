"""An assessment of texts with several labels: figures of predictions, scores, rank, page and file."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

import tokenworth
from label_sets import planted_labels
from routes import model_at
from tokenworth.assessment import Assessment
from tokenworth.probes.label_kinds import from_lists
from tokenworth.report import write_report

pytestmark = pytest.mark.formats


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return model_at(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def assessment(model, tmp_path_factory):
    return tokenworth.assess(model, planted_labels(), out=tmp_path_factory.mktemp("out"), shuffles=3)


def test_figures_of_the_best_probe_are_those_of_its_predictions(assessment):
    task = planted_labels()
    said = from_lists(assessment.predictions, 3, several=True)
    best = assessment.best_probe()
    truth = sklearn_metrics.f1_score(task.test.labels, said, average="weighted", zero_division=0.0)
    assert best["f1"] == pytest.approx(truth)
    assert best["accuracy"] == pytest.approx((task.test.labels == said).all(1).mean())
    rows = assessment.confusion["by_label"]
    assert [row["right"] for row in rows] == (task.test.labels & said).sum(0).tolist()
    assert assessment.several


def test_every_score_is_there_with_interval_and_chance(assessment):
    row = assessment.row()
    for score in ("hscore", "logme", "probe_f1", "cv_f1", "knn_accuracy"):
        assert np.isfinite([row[score], row[f"{score}_low"], row[f"{score}_high"]]).all()
    assert row["hscore"] > row["hscore_chance"]
    assert row["probe_f1"] > row["probe_f1_chance"]
    assert any(flag["score"] == "hscore" and "canonical correlations" in flag["reason"] for flag in assessment.flags)


def test_baselines_are_fitted_to_labels(assessment):
    probes = {probe["kind"]: probe for probe in assessment.probes}
    assert probes["majority"]["name"] == "majority label"
    assert probes["bow"]["f1"] > probes["majority"]["f1"]
    assert {"ridge", "logistic"} <= probes.keys()


def test_file_and_page(assessment, tmp_path):
    assessment.save(tmp_path)
    again = Assessment.load(tmp_path)
    assert again.predictions == assessment.predictions
    assert again.several
    page = write_report(again, tmp_path / "report.html").read_text()
    assert 'id="by-label"' in page
    assert "The labels" in page


def test_rank_compares_backbones_by_labels(model):
    ranking = tokenworth.rank(planted_labels(), [model, f"{model}@random"], shuffles=1)
    first, second = ranking.rows
    assert first["best_f1"] >= second["best_f1"]
    assert [row["failed"] for row in ranking.rows] == [None, None]
