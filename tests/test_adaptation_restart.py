"""A run that learned nothing at the rate of the rule begins anew at a lower one, and says so."""

import numpy as np
import pytest

import tokenworth.adaptation.recommended_settings as rule
import tokenworth.adaptation.training.rate_restart as restart
from planted import planted_task
from processes import has_checkpoint
from routes import model_at
from tokenworth.adaptation import adapt
from tokenworth.adaptation.recommended_settings import RouteRule
from tokenworth.adaptation.training.rate_restart import entropy_of_classes, learned_nothing
from tokenworth.adaptation.training.route_training import RouteLearner
from tokenworth.errors import DivergedError

pytestmark = pytest.mark.formats

FAR_TOO_HIGH, TO_WHAT_LEARNS = 3.0, 600
STEPS = {"steps": 40, "mislabelled": False}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return model_at(tmp_path_factory.mktemp("models"))


@pytest.fixture
def too_high(monkeypatch):
    """Rules whose rate no network bears, and a second rate that it does."""
    for route in ("lora", "full", "scratch"):
        monkeypatch.setitem(rule.RULES, route, RouteRule(1e9, FAR_TOO_HIGH, FAR_TOO_HIGH, 3))
    monkeypatch.setitem(rule.TUNING_RULES, "lora", rule.RULES["lora"])
    monkeypatch.setattr(restart, "LOWERED_BY", TO_WHAT_LEARNS)
    monkeypatch.setattr(restart, "FEWEST", STEPS["steps"])


def _shares(labels_N, weight_C):
    """Slowly: the loss of the best answer that is the same for every text, by trying many."""
    share_1 = np.linspace(1e-4, 1 - 1e-4, 9999)
    weight_N = np.asarray(weight_C)[labels_N]
    losses = [
        -(weight_N * np.log(np.where(labels_N == 1, share, 1 - share))).sum() / weight_N.sum() for share in share_1
    ]
    return min(losses)


@pytest.mark.parametrize("weight_C", [(1.0, 1.0), (0.6, 3.0)], ids=["alike", "weighted"])
def test_the_least_loss_without_reading_is_the_entropy_of_the_classes(weight_C):
    labels_N = np.array([0] * 50 + [1] * 10)
    assert entropy_of_classes(labels_N, np.array(weight_C)) == pytest.approx(_shares(labels_N, weight_C), abs=1e-6)


def test_an_absent_class_adds_nothing():
    assert entropy_of_classes(np.array([0, 0, 2, 2]), np.ones(3)) == pytest.approx(np.log(2))


def test_the_end_of_a_run_counts_and_not_its_beginning():
    learnt, least = [0.9] * 8 + [0.3, 0.3], np.log(2)
    assert not learned_nothing(learnt, least)
    assert learned_nothing(learnt[::-1], least)


@pytest.mark.parametrize("route", ["lora", "full"])
def test_a_rate_that_teaches_nothing_is_lowered_once(model, too_high, route):
    task = planted_task(120)
    result = adapt(model, task, route, config=STEPS)
    given = adapt(model, task, route, config={**STEPS, "lr": FAR_TOO_HIGH / TO_WHAT_LEARNS})
    assert result.training["losses"] == given.training["losses"], "the second run is that of its rate"
    assert result.metrics == given.metrics
    assert result.metrics["weighted_f1"] > 0.85
    facts = result.facts["restart"]
    assert facts["lr"] == FAR_TOO_HIGH / TO_WHAT_LEARNS
    assert facts["loss"] < 0.5 * np.log(2) < np.log(2) * 0.98 <= facts["loss_before"]
    assert result.cost["train_flops"] == pytest.approx(2 * given.cost["train_flops"]), "both runs are paid for"
    assert sum("nothing was learned" in note for note in result.notes) == 1
    assert "restart" not in given.facts


@pytest.fixture
def diverging(monkeypatch, too_high):
    """From step 5 on the loss is no number, at the rule's rate alone."""
    whole = RouteLearner.loss

    def loss(self, group):
        minimised, reported = whole(self, group)
        broken = self.config.lr == FAR_TOO_HIGH and self.position.step >= 5
        return (minimised * float("nan"), reported * float("nan")) if broken else (minimised, reported)

    monkeypatch.setattr(RouteLearner, "loss", loss)


@pytest.mark.parametrize("route", ["lora", "full"])
def test_a_rate_at_which_a_run_diverges_is_lowered_once(tmp_path, model, diverging, route):
    task = planted_task(120)
    result = adapt(model, task, route, config=STEPS, out=tmp_path)
    given = adapt(model, task, route, config={**STEPS, "lr": FAR_TOO_HIGH / TO_WHAT_LEARNS})
    assert result.training["losses"] == given.training["losses"], "the second run is that of its rate"
    assert result.facts["restart"]["loss_before"] is None
    first = result.cost["train_flops"] - given.cost["train_flops"]
    assert 0 < first < given.cost["train_flops"] / 4, "five steps of forty"
    assert sum("no finite number after 5 steps" in note for note in result.notes) == 1


def test_a_rate_that_was_given_diverges_in_one_sentence(model, diverging):
    with pytest.raises(DivergedError, match=r"step 6: the loss is nan .* Lower lr"):
        adapt(model, planted_task(120), "full", config={**STEPS, "lr": FAR_TOO_HIGH})


def test_what_is_no_number_before_any_step_is_no_matter_of_the_rate(model, too_high, monkeypatch):
    whole, nan = RouteLearner.loss, float("nan")
    monkeypatch.setattr(RouteLearner, "loss", lambda self, group: tuple(nan * part for part in whole(self, group)))
    with pytest.raises(DivergedError, match="step 1: the loss is nan"):
        adapt(model, planted_task(120), "full", config=STEPS)


def test_a_rate_that_was_given_stays(model, too_high):
    result = adapt(model, planted_task(120), "full", config={**STEPS, "lr": FAR_TOO_HIGH})
    assert learned_nothing(result.training["losses"], np.log(2)), "it would be made once more"
    assert "restart" not in result.facts


def test_a_search_is_told_of_each_rate_as_it_is(model, too_high):
    result = adapt(model, planted_task(120), "full", config={**STEPS, "tune": 1})
    assert learned_nothing(result.training["losses"], np.log(2)), "it would be made once more"
    assert "restart" not in result.facts
    assert "by_rule" not in result.facts, "the search chose the rate"


def test_a_few_steps_are_no_sign_of_a_rate(model, too_high):
    result = adapt(model, planted_task(120), "full", config={**STEPS, "steps": STEPS["steps"] - 1})
    assert "restart" not in result.facts


def test_random_weights_are_not_started_anew(model, too_high):
    """A hard task is no failure of the rate there."""
    result = adapt(model, planted_task(120), "scratch", config=STEPS)
    assert learned_nothing(result.training["losses"], np.log(2)), "it would be made once more"
    assert "restart" not in result.facts


def test_texts_longer_than_is_read_count_once_however_many_pieces(model, too_high):
    config = {**STEPS, "long": "chunks", "max_length": 8}
    result = adapt(model, planted_task(120, longest=60), "full", config=config)
    assert result.facts["long_texts"]["pieces"] > 2 * 120
    assert result.facts["restart"]["loss"] < 0.9 * np.log(2) < result.facts["restart"]["loss_before"]


def test_a_run_that_stops_after_its_restart_goes_on_there(tmp_path, model, too_high):
    task, config, steps = planted_task(120), {**STEPS, "checkpoint_seconds": 0.0}, []

    def stopped(what, done, _all):
        if what == "train":
            steps.append(done)
            if len(steps) == STEPS["steps"] + 20:
                raise KeyboardInterrupt

    whole = adapt(model, task, "full", config=config)
    with pytest.raises(KeyboardInterrupt):
        adapt(model, task, "full", config=config, out=tmp_path, progress=stopped)
    assert has_checkpoint(tmp_path / restart.RESTART / "checkpoints")
    again = adapt(model, task, "full", config=config, out=tmp_path)
    assert again.resumed_from_step == 19, "no step of the second run is made twice"
    assert again.training["losses"] == whole.training["losses"]
    assert not (tmp_path / restart.RESTART).exists(), "the run is whole without it"
