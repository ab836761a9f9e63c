"""decide on texts of several labels: what is measured, and what its calibration cannot say."""

import pytest

import tokenworth
from label_sets import planted_labels
from routes import model_at
from tokenworth.errors import SettingError
from tokenworth.report import write_report

pytestmark = pytest.mark.formats


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return model_at(tmp_path_factory.mktemp("models"))


def test_bag_of_words_and_probe_are_measured_and_nothing_is_predicted(model, tmp_path):
    decision = tokenworth.decide(planted_labels(), [model])
    assert {(row["route"], row["source"]) for row in decision.options} == {("bow", "measured"), ("probe", "measured")}
    (assessment,) = decision.assessments
    reached = {row["route"]: row["f1"] for row in decision.options}
    assert reached["probe"] == pytest.approx(assessment.best_probe()["f1"])
    assert any("the calibration is of runs on one class a text" in warning for warning in decision.warnings)
    assert decision.recommended is not None
    assert "one class a text" in write_report(decision, tmp_path / "report.html").read_text()


@pytest.mark.parametrize("asked", [{"pilot": 0.1}, {"labels": True}], ids=str)
def test_what_would_need_its_calibration_is_refused(model, asked):
    with pytest.raises(SettingError, match="decide measures a bag of words and probes alone; leave out pilot, labels"):
        tokenworth.decide(planted_labels(), [model], **asked)
