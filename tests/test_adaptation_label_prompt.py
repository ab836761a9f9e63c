"""Prompts about each of several labels: what is asked, what the answers are worth, and the classifier that is kept."""

import numpy as np
import pytest

from label_sets import planted_labels
from routes import model_at
from tokenworth.adaptation import adapt, load_classifier
from tokenworth.adaptation.routes.label_prompt_route import PATTERN

pytestmark = pytest.mark.formats

SETTINGS = {"validation_share": 0.2, "mislabelled": False}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return model_at(tmp_path_factory.mktemp("models"), lm_head=True, max_position_embeddings=300)


def small_task():
    return planted_labels(40, 12)


@pytest.mark.parametrize("shots", [{}, {"shots": 2}, {"shots": 2, "examples": "nearest"}], ids=str)
def test_each_label_is_the_prompt_of_its_yes_and_no(model, tmp_path, shots):
    """The log-odds of a label are those of a task of one class with the classes yes and no, asked the same way."""
    task = small_task()
    adapt(model, task, "prompt", config={**SETTINGS, **shots}, out=tmp_path / "run")
    kept = load_classifier(tmp_path / "run")
    scores = kept.predictor.scores(task.test.texts)
    assert scores.shape == (12, 3)
    for number, name in enumerate(task.label_names):
        asked = kept.predictor.of_labels[number]
        assert asked.format.pattern == PATTERN.replace("{label}", name)
        assert asked.format.words == ("yes", "no")
        alone = asked.scores(task.test.texts)
        np.testing.assert_allclose(scores[:, number], alone[:, 0] - alone[:, 1], atol=1e-9)
        for text, answer in asked.examples:
            row = next(i for i, whole in enumerate(task.train.texts) if whole.startswith(text))
            assert answer == ("yes" if task.train.labels[row, number] else "no")


def test_the_result_says_what_was_asked(model, tmp_path):
    result = adapt(model, small_task(), "prompt", config=SETTINGS, out=tmp_path / "run")
    assert result.facts["prompts a text"] == 3
    assert result.facts["template"] == PATTERN
    texts = small_task().test.texts
    assert load_classifier(tmp_path / "run").predict_labels(texts) == list(result.predictions["predicted"])
