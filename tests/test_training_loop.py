"""The training loop by itself, on the smallest learner there is: a line through points."""

import json

import pytest
import torch

from tokenworth.errors import AdaptError, SettingError
from tokenworth.training.checkpoints import Checkpoints
from tokenworth.training.devices import Compute, Devices
from tokenworth.training.learner import Learner, Position
from tokenworth.training.loop import Loop
from tokenworth.training.tracker import Tracker

STEPS, BATCH = 9, 6


class Settings:
    """What the loop reads of a run's settings."""

    steps, lr, clip_norm, checkpoint_seconds = STEPS, 0.1, 1.0, 0.0


class Line(Learner):
    """Least squares with dropout, on points that depend on the step alone; a row is a place on the x axis."""

    what, failure, other_run, remedy = "line", AdaptError, SettingError, "or look at the points"
    config, identity = Settings, "a line"

    def __init__(self, micro_batch=BATCH):
        torch.manual_seed(0)
        self.compute = Compute(Devices(), torch.device("cpu"), torch.float32)
        self.model = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(1, 1))
        self.parameters = dict(self.model.named_parameters())
        self.optimiser = torch.optim.AdamW(self.model.parameters())
        self.position, self.begun, self.rows_read = Position(micro_batch=micro_batch), None, []

    def rows(self, step):
        return torch.randn(BATCH, generator=torch.Generator().manual_seed(step))

    def prepare(self, rows, local):
        torch.manual_seed(self.position.step)

    def groups(self, local):
        return list(local.split(self.position.micro_batch))

    def loss(self, group):
        self.rows_read.append(len(group))
        loss = (self.model(group[:, None])[:, 0] - 2 * group - 1).square().sum() / BATCH
        return loss, loss.detach()

    def rate(self, step):
        return 0.1

    def accept(self, figures, seconds):
        self.figures = figures

    def watch(self):
        return {}

    def begin(self, state, tensors):
        self.begun = state

    def difference(self, kept):
        return "" if kept == self.identity else "are of another line"

    def named(self, rows):
        return f"{len(rows)} points"

    def no_memory(self, size):
        return f"{size} point(s)"


def loop_of(learner, folder=None, progress=None):
    return Loop(learner, Checkpoints(folder), Tracker(), progress)


@pytest.fixture(scope="module")
def whole():
    learner = Line()
    assert loop_of(learner).run() == 0
    return {name: weights.detach().clone() for name, weights in learner.parameters.items()}


def cut_at(step):
    def progress(_what, done, _steps):
        if done == step:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("step", range(2, STEPS + 1))
def test_a_run_cut_at_any_step_ends_with_the_same_bits(tmp_path, whole, step):
    with pytest.raises(KeyboardInterrupt):
        loop_of(Line(), tmp_path, cut_at(step)).run()
    learner = Line()
    assert loop_of(learner, tmp_path).run() == step - 1
    assert all(torch.equal(weights, whole[name]) for name, weights in learner.parameters.items())
    assert learner.begun["identity"] == "a line"


def test_the_global_random_state_is_left_as_it_was():
    learner = Line()
    torch.manual_seed(3)
    before = torch.get_rng_state()
    loop_of(learner).run()
    assert torch.equal(torch.get_rng_state(), before)


def test_passes_add_up_to_the_step():
    gradients = []
    for micro_batch in (BATCH, 4, 1):
        learner = Line(micro_batch)
        learner.model[0].p = 0.0
        loop_of(learner)._gradient(learner.rows(0))
        gradients.append(learner.parameters["1.weight"].grad.clone())
    torch.testing.assert_close(gradients[1], gradients[0])
    torch.testing.assert_close(gradients[2], gradients[0])


def test_passes_are_halved_until_they_fit_and_no_further(monkeypatch):
    kept = Line.loss

    def short(self, group):
        if len(group) > self.fits:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return kept(self, group)

    monkeypatch.setattr(Line, "loss", short)
    learner = Line()
    learner.fits = 2
    loop_of(learner).run()
    assert (learner.position.micro_batch, learner.position.halvings) == (2, 2)
    assert set(learner.rows_read) == {2}
    learner.fits = 0
    with pytest.raises(AdaptError, match=r"cpu has no memory for 1 point\(s\)"):
        loop_of(learner)._gradient(learner.rows(0))


def test_other_errors_of_a_pass_are_said_where_they_are_understood(monkeypatch):
    def broken(self, group):
        raise RuntimeError("mat1 and mat2 must have the same dtype")

    monkeypatch.setattr(Line, "loss", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        loop_of(Line()).run()
    monkeypatch.setattr(Line, "explain", lambda self, error: "a line wants one format")
    with pytest.raises(AdaptError, match="a line wants one format"):
        loop_of(Line()).run()


def test_what_is_no_number_stops_before_the_update(monkeypatch):
    learner = Line()
    before = learner.parameters["1.weight"].detach().clone()
    monkeypatch.setattr(Line, "rows", lambda self, step: torch.full((BATCH,), float("nan")))
    with pytest.raises(AdaptError, match=r"step 1: the loss is nan .* on 6 points; nothing was updated. Lower lr"):
        loop_of(learner).run()
    assert torch.equal(learner.parameters["1.weight"], before)


def test_checkpoints_of_another_run_are_refused_and_those_of_earlier_versions_read(tmp_path, whole):
    with pytest.raises(KeyboardInterrupt):
        loop_of(Line(), tmp_path, cut_at(5)).run()
    other = Line()
    other.identity = "a parabola"
    with pytest.raises(SettingError, match="are of another line; name another folder with --out"):
        loop_of(other, tmp_path).run()
    for file in tmp_path.glob("*/state.json"):  # as routes wrote it: the position under another name, no digest of it
        kept = json.loads(file.read_text())
        del kept["digest"]
        kept["state"]["running"] = kept["state"].pop("position")
        file.write_text(json.dumps(kept))
    learner = Line()
    assert loop_of(learner, tmp_path).run() == 4
    assert all(torch.equal(weights, whole[name]) for name, weights in learner.parameters.items())
