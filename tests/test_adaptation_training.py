"""The training loop: batches, gradients, safe stops, and going on exactly."""

import copy
import json
import multiprocessing
import os
import random
import resource
import signal
import sys
import time

import numpy as np
import pytest
import torch

import tokenworth.adaptation.training.route_training as training
import tokenworth.training.loop as loop
from number_formats import AUTO, unit
from planted import planted_task, with_parts
from processes import forked, has_checkpoint
from routes import SHORT, model_at, paced_run, run
from small_models import FAMILIES, write_folder
from tokenworth.adaptation import AdaptResult, adapt
from tokenworth.adaptation.routes.tuned_predictor import TextClassifier
from tokenworth.adaptation.storage.run_folder import started_with
from tokenworth.adaptation.training.adafactor import Adafactor, sparse_embeddings
from tokenworth.adaptation.training.batch_cuts import Prices, StepCost, plan_groups, prices
from tokenworth.adaptation.training.batch_packing import can_pack, packed_batch, padded_batch
from tokenworth.adaptation.training.text_order import Order, learning_rate
from tokenworth.backbones import load_backbone
from tokenworth.errors import AdaptError, SettingError
from tokenworth.training.checkpoints import read_weights
from tokenworth.training.devices import Devices

pytestmark = pytest.mark.formats

TEXTS = [np.arange(4, 4 + n, dtype=np.int32) for n in (3, 9, 1, 6)]
ROWS = np.arange(4)
_SUMMED_OTHERWISE = max(1e-4, 2 * unit(AUTO))
"""Relative difference of losses after a few steps whose gradients were summed in another order."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return model_at(tmp_path_factory.mktemp("models"))


# -- batches ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pack_gives_every_text_what_it_gets_alone_or_is_not_used(tmp_path, family):
    backbone = load_backbone(str(write_folder(tmp_path / family, family)), dtype="float32")
    if not can_pack(backbone, TEXTS):
        return
    packed = packed_batch(backbone, TEXTS, ROWS)
    for how in ("mean", "last", "cls", "last+mean"):
        with torch.no_grad():
            together = packed.read(packed.states(backbone.model), how)
            for row in ROWS:
                alone = padded_batch(backbone, TEXTS, ROWS[row : row + 1])
                state = alone.read(alone.states(backbone.model), how)
                torch.testing.assert_close(together[row], state[0], rtol=1e-4, atol=1e-5)
    assert packed.tokens == packed.places == 19


def test_models_that_keep_texts_apart_are_found(tmp_path):
    packs = {f: can_pack(load_backbone(str(write_folder(tmp_path / f, f)), dtype="float32"), TEXTS) for f in FAMILIES}
    assert packs["llama"]
    assert not packs["mpt"]  # positions are in the attention itself
    assert not packs["xlnet"]


def test_packed_and_padded_batches_have_the_same_gradient(model):
    backbone = load_backbone(model, dtype="float32")
    classifier = TextClassifier(backbone, 3, pooling="last+mean", dropout=0.0, bias=True, seed=0)
    gradients = []
    for batch in (packed_batch(backbone, TEXTS, ROWS), padded_batch(backbone, TEXTS, ROWS)):
        classifier.zero_grad()
        torch.nn.functional.cross_entropy(classifier(batch), torch.tensor([0, 1, 2, 0])).backward()
        gradients.append(torch.cat([w.grad.flatten() for w in classifier.parameters() if w.grad is not None]))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)


def partitions(texts):
    """Every way to cut a list into groups of neighbours."""
    if not texts:
        yield []
    for size in range(1, len(texts) + 1):
        for rest in partitions(texts[size:]):
            yield [texts[:size], *rest]


@pytest.mark.parametrize("pass_flops", [0.0, 300.0, 1e9])
def test_the_cheapest_cut_of_a_batch_is_found(pass_flops):
    """Against all cuts of the sorted texts, each group padded or packed."""
    dear, rng = StepCost(token=10.0, pair=1.4, text=0.0), np.random.default_rng(0)
    for _ in range(20):
        lengths = rng.integers(1, 40, 6)
        groups = plan_groups(np.arange(6), lengths, Prices(dear, pass_flops), most=6, packing=True)
        assert sorted(np.concatenate([group.rows for group in groups])) == list(range(6))
        price = sum((dear.packed if g.packed else dear.padded)(lengths[g.rows]) + pass_flops for g in groups)
        best = min(
            sum(min(dear.packed(np.array(part)), dear.padded(np.array(part))) + pass_flops for part in cut)
            for cut in partitions(sorted(lengths))
        )
        assert price == pytest.approx(best)
        assert len(groups) == 1 or pass_flops < 1e9


def test_texts_of_one_length_are_padded_and_no_group_is_larger_than_allowed():
    price, even = Prices(StepCost(token=100.0, pair=1.0, text=0.0), 1.0), np.full(8, 20)
    assert [group.packed for group in plan_groups(np.arange(8), even, price, most=8, packing=True)] == [False]
    small = plan_groups(np.arange(8), even, price, most=3, packing=True)
    assert max(len(group.rows) for group in small) <= 3
    as_drawn = plan_groups(np.array([5, 2, 7]), np.arange(8), price, most=2, packing=False)
    assert [group.rows.tolist() for group in as_drawn] == [[5, 2], [7]]


def test_narrow_heads_make_pairs_dearer_than_their_flops():
    wide = prices(StepCost(1.0, 768.0, 0.0), "cpu", n_blocks=1, n_heads=1).cost.pair
    narrow = prices(StepCost(1.0, 96.0, 0.0), "cpu", n_blocks=1, n_heads=1).cost.pair
    assert wide == pytest.approx(1.4 * 768)
    assert narrow == 1000.0
    assert prices(StepCost(1.0, 96.0, 0.0), "cuda", 1, 1).cost.pair == pytest.approx(1.4 * 96)


def test_every_text_is_drawn_once_a_pass_and_the_order_depends_on_the_seed_alone():
    order = Order(10, 4, seed=3)
    drawn = np.concatenate([order.rows(step) for step in range(5)])
    assert sorted(drawn[:10]) == sorted(drawn[10:]) == list(range(10))
    assert list(drawn[:10]) != list(drawn[10:])
    assert np.array_equal(Order(10, 4, seed=3).rows(4), order.rows(4))
    assert not np.array_equal(Order(10, 4, seed=4).rows(0), order.rows(0))
    assert len(Order(3, 8, seed=0).rows(0)) == 3


def test_the_rate_is_that_of_the_published_schedule():
    from transformers import get_cosine_schedule_with_warmup

    weights = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weights], lr=0.5)
    schedule = get_cosine_schedule_with_warmup(optimiser, 10, 200)
    for step in range(200):
        assert learning_rate(step, 200, 0.5, 0.05) == pytest.approx(optimiser.param_groups[0]["lr"], abs=1e-12)
        optimiser.step()
        schedule.step()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0], ids=["small", "ordinary", "clipped"])
@pytest.mark.parametrize("rows", ["all", "few", "none"])
def test_adafactor_is_that_of_transformers(scale, rows):
    """Vectors, matrices, an embedding; gradients of which all rows, few or none are there."""
    from transformers.optimization import Adafactor as Slow

    torch.manual_seed(0)
    shapes = [(5, 7), (6,), (1, 4), (2, 3, 4), (300, 20), (5, 7), (6,), (2, 3, 4), (5, 7)]  # those alike go together
    share = {"all": 1.0, "few": 0.1, "none": 0.0}[rows]
    ours = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
    theirs = [torch.nn.Parameter(weights.detach().clone()) for weights in ours]
    fast = Adafactor(ours, lr=0.01, clip_threshold=1.0, weight_decay=0.1)
    slow = Slow(theirs, lr=0.01, weight_decay=0.1, relative_step=False, scale_parameter=False, warmup_init=False)
    for _ in range(20):
        for own, other in zip(ours, theirs, strict=True):
            own.grad = scale * torch.randn(own.shape) * torch.rand(own.shape[-1])
            if own.ndim == 2:
                own.grad *= (torch.rand(len(own)) < share)[:, None]
            other.grad = own.grad.clone()
        fast.step()
        slow.step()
    for own, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("norm", [1e-3, 1e3], ids=["clipped", "as it is"])
def test_rows_of_an_embedding_learn_as_its_dense_gradient_has_it(norm):
    """Two passes a step, in which tokens come again."""
    torch.manual_seed(0)
    dense = torch.nn.Sequential(torch.nn.Embedding(200, 8), torch.nn.Linear(8, 3))
    sparse = copy.deepcopy(dense)
    sparse_embeddings(sparse)
    optimisers = [
        Adafactor([*net.parameters()], lr=0.1, clip_threshold=1.0, weight_decay=0.1) for net in (dense, sparse)
    ]
    for step in range(5):
        passes = [torch.randint(0, 40, (6,), generator=torch.Generator().manual_seed(10 * step + p)) for p in (0, 1)]
        norms = []
        for net, optimiser in zip((dense, sparse), optimisers, strict=True):
            for tokens in passes:
                torch.nn.functional.cross_entropy(net(tokens), tokens % 3).backward()
            assert net[0].weight.grad.is_sparse == (net is sparse)
            norms.append(Devices().clip(net.parameters(), norm))
            optimiser.step()
            optimiser.zero_grad()
        assert norms[0] == pytest.approx(norms[1], rel=1e-5)
    for own, other in zip(dense.parameters(), sparse.parameters(), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-6)


# -- the same numbers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ["lora", "full", "scratch"])
def test_a_seed_gives_the_same_numbers_and_another_one_others(model, route):
    first, second, third = (run(model, route, None, seed=seed) for seed in (1, 1, 2))
    assert first.training["losses"] == second.training["losses"]
    assert first.metrics == second.metrics
    assert first.training["losses"] != third.training["losses"]


def test_routes_see_the_same_texts_in_the_same_order(model, monkeypatch):
    seen = {}
    for route in ("lora", "full", "scratch"):
        rows = seen.setdefault(route, [])
        inner = loop.Loop._gradient
        monkeypatch.setattr(
            loop.Loop,
            "_gradient",
            lambda self, r, rows=rows, inner=inner: (rows.append(r.tolist()), inner(self, r))[1],
        )
        run(model, route, None, steps=3)
        monkeypatch.setattr(loop.Loop, "_gradient", inner)
    assert seen["lora"] == seen["full"] == seen["scratch"]


@pytest.mark.parametrize("packing", [True, False])
def test_micro_batches_have_the_gradient_of_the_whole(model, packing):
    settings = {"dropout": 0.0, "lora_dropout": 0.0, "packing": packing}
    whole = run(model, "full", None, **settings)
    parts = run(model, "full", None, micro_batch=3, **settings)
    assert parts.training["losses"] == pytest.approx(whole.training["losses"], rel=_SUMMED_OTHERWISE)


def test_balanced_class_weights_are_those_of_the_formula(model):
    task = planted_task(40)
    kept = np.flatnonzero((task.train.labels == 0) | (np.arange(40) % 4 == 0))
    task = with_parts(task, train={"texts": [task.train.texts[i] for i in kept], "labels": task.train.labels[kept]})
    plain, balanced = (
        adapt(model, task, "full", config={**SHORT, "class_weights": how}).training["losses"]
        for how in ("none", "balanced")
    )
    assert plain != balanced


# -- interruption -------------------------------------------------------------------------------------------------


def test_killed_at_random_moments_the_run_ends_with_equal_numbers(model, tmp_path):
    """A checkpoint after every step, killed wherever it is; losses and metrics must be equal, bit for bit."""
    settings = {"steps": 45, "checkpoint_seconds": 0, "selection": "best", "eval_steps": 15}
    whole = run(model, "lora", tmp_path / "whole", **settings)
    rng, kills = random.Random(0), 0
    folder = tmp_path / "killed"
    while kills < 6:
        process = forked(paced_run, model, "lora", folder, 0.025, settings)
        process.start()
        _wait_for(folder / "checkpoints", process)
        process.join(rng.uniform(0.0, 0.5))
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL), "it failed by itself"
        if (folder / "result.json").is_file():
            break
    result = run(model, "lora", folder, **settings)
    assert kills >= 3
    assert result.resumed_from_step > 0
    assert result.training["losses"] == whole.training["losses"]
    assert result.training["evaluations"] == whole.training["evaluations"]
    assert result.metrics == whole.metrics
    assert not (folder / "checkpoints").exists()


def _wait_for(folder, process):
    limit = time.monotonic() + 60
    while not has_checkpoint(folder) and process.is_alive() and time.monotonic() < limit:
        time.sleep(0.005)


def stop_at(monkeypatch, step):
    """Fail at a step, as a power cut would."""
    inner = loop.Loop._step

    def fail(self):
        if self.learner.position.step == step:
            raise KeyboardInterrupt
        inner(self)

    monkeypatch.setattr(loop.Loop, "_step", fail)
    return inner


def interrupted(model, folder, monkeypatch, step=8, route="full", **settings):
    inner = stop_at(monkeypatch, step)
    with pytest.raises(KeyboardInterrupt):
        run(model, route, folder, checkpoint_seconds=0, **settings)
    monkeypatch.setattr(loop.Loop, "_step", inner)


def test_a_checkpoint_cut_in_half_falls_back_to_the_one_before(model, tmp_path, monkeypatch, caplog):
    whole = run(model, "full", None)
    interrupted(model, tmp_path / "run", monkeypatch)
    kept = sorted((tmp_path / "run" / "checkpoints").iterdir())
    assert [path.name for path in kept] == ["step-00000007", "step-00000008"]
    damaged = kept[-1] / "optimiser.safetensors"
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    result = run(model, "full", tmp_path / "run", checkpoint_seconds=0)
    assert result.resumed_from_step == 7
    assert result.training["losses"] == whole.training["losses"]
    assert "damaged" in caplog.text


def test_a_changed_configuration_is_refused_and_shown(model, tmp_path, monkeypatch):
    interrupted(model, tmp_path / "run", monkeypatch)
    with pytest.raises(SettingError, match=r"lr was 0.001 and is 0.01; steps was 12 and is 13"):
        run(model, "full", tmp_path / "run", lr=0.01, steps=13)
    with pytest.raises(SettingError, match="route was 'full' and is 'lora'"):
        run(model, "lora", tmp_path / "run")
    assert run(model, "full", tmp_path / "run", checkpoint_seconds=5).resumed_from_step == 8  # changes no number


@pytest.mark.parametrize("route", ["lora", "full", "scratch"])
def test_a_run_goes_on_in_the_format_it_was_begun_in(model, tmp_path, monkeypatch, auto, route):
    """The machine decides anew while the run lies killed: its numbers are those of a run that was never stopped."""
    whole = run(model, route, None, dtype="bfloat16")
    auto("bfloat16")
    interrupted(model, tmp_path / "run", monkeypatch, route=route)
    auto("float32")
    with pytest.raises(SettingError, match="dtype was 'bfloat16' and is 'float32'"):
        run(model, route, tmp_path / "run", dtype="float32")
    found = run(model, route, tmp_path / "run")
    assert found.resumed_from_step == 8
    assert found.facts["products_in"] == "bfloat16"
    assert found.training["losses"] == whole.training["losses"]
    assert found.metrics == whole.metrics
    assert run(model, route, tmp_path / "run", dtype="bf16").metrics == whole.metrics  # finished: read
    assert run(model, route, None).facts["products_in"] == "float32"


def test_a_record_of_an_earlier_version_is_gone_on_with(model, tmp_path, monkeypatch, auto):
    """It says auto, and not what that was; the checkpoints know."""
    auto("bfloat16")
    interrupted(model, tmp_path / "run", monkeypatch)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps(record | {"dtype": "auto"}))
    auto("float32")
    with pytest.raises(SettingError, match="made with another number format"):
        run(model, "full", tmp_path / "run")
    auto("bfloat16")
    assert run(model, "full", tmp_path / "run").resumed_from_step == 8


@pytest.mark.parametrize("route", ["prompt", "probe"])
def test_a_finished_run_is_not_another_formats(tmp_path, auto, route):
    model = model_at(tmp_path, lm_head=True)
    auto("bfloat16")
    first = run(model, route, tmp_path / "run")
    assert first.backbone["dtype"] == "bfloat16"
    auto("float32")
    assert run(model, route, tmp_path / "run").metrics == first.metrics
    with pytest.raises(SettingError, match="dtype was 'bfloat16' and is 'float32'"):
        run(load_backbone(model, dtype="float32"), route, tmp_path / "run")


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_formats_that_weights_cannot_learn_in_are_refused(model, dtype):
    with pytest.raises(SettingError, match=r"choose .*float32"):
        run(model, "full", None, dtype=dtype)


def test_a_run_goes_on_with_another_card_of_the_same_machine():
    facts = [started_with("lora", "m", "t", 0, {}, {"device": device}) for device in ("cuda:0", "cuda:1", "cpu")]
    assert facts[0] == facts[1] != facts[2]


def test_checkpoints_of_other_weights_are_refused(model, tmp_path, monkeypatch):
    other = model_at(tmp_path, seed=5)
    interrupted(model, tmp_path / "run", monkeypatch)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps(record | {"model": other}))
    with pytest.raises(SettingError, match="made with another backbone; name"):
        run(other, "full", tmp_path / "run")


def test_a_finished_run_is_read_and_not_run(model, tmp_path, monkeypatch):
    first = run(model, "lora", tmp_path / "run")
    stop_at(monkeypatch, 0)
    again = run(model, "lora", tmp_path / "run")
    assert again.metrics == first.metrics
    assert again.predictions.equals(AdaptResult.load(tmp_path / "run").predictions)


def full_disk(model, folder):
    """A process whose files may not grow: what a full disk does to a checkpoint."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    sys.dont_write_bytecode = True  # Python itself would leave half a .pyc, and fail on it the next time
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    try:
        run(model, "full", folder, checkpoint_seconds=0)
    except AdaptError as error:
        os._exit(7 if "checkpoint of step 1 cannot be written" in str(error) else 8)


def test_a_full_disk_at_checkpoint_time_is_one_sentence_and_leaves_nothing_half(model, tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=full_disk, args=(model, tmp_path / "run"))
    process.start()
    process.join()
    assert process.exitcode == 7
    assert not list((tmp_path / "run" / "checkpoints").glob("*"))
    assert run(model, "full", tmp_path / "run").resumed_from_step == 0


# -- safe stops ---------------------------------------------------------------------------------------------------


def weights_of(learner):
    return {name: value.clone() for name, value in read_weights(learner.parameters).items()}


def test_a_loss_that_is_no_number_stops_before_the_update_and_names_the_batch(model, monkeypatch):
    inner, kept = training.RouteLearner.loss, {}

    def poisoned(self, group):
        minimised, reported = inner(self, group)
        if self.position.step == 4:
            kept["before"] = weights_of(self)
            kept["learner"] = self
            return minimised, reported * float("nan")
        return minimised, reported

    monkeypatch.setattr(training.RouteLearner, "loss", poisoned)
    with pytest.raises(AdaptError, match=r"step 5: the loss is nan .* on the batch of training texts") as failure:
        run(model, "full", None)
    rows = Order(40, 8, 0).rows(4)
    assert ", ".join(map(str, rows.tolist())) in str(failure.value)
    after = weights_of(kept["learner"])
    assert all(torch.equal(after[name], value) for name, value in kept["before"].items())


def test_out_of_memory_halves_the_passes_and_keeps_the_gradient(model, monkeypatch):
    plain = run(model, "full", None, dropout=0.0)
    inner = training.RouteLearner.loss

    def short(self, group):
        if len(group.rows) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return inner(self, group)

    monkeypatch.setattr(training.RouteLearner, "loss", short)
    halved = run(model, "full", None, dropout=0.0)
    assert halved.training["micro_batch"] == 2
    assert halved.training["halvings"] == 2
    assert halved.training["losses"] == pytest.approx(plain.training["losses"], rel=_SUMMED_OTHERWISE)
    assert any("passes of 2 texts" in sentence for sentence in halved.sentences)


def test_no_memory_for_one_text_is_one_sentence(model, monkeypatch):
    def never(*_):
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(training.RouteLearner, "loss", never)
    with pytest.raises(AdaptError, match="no memory for 1 text"):
        run(model, "full", None)


def test_the_best_step_is_kept_when_asked_for(model):
    result = run(model, "full", None, selection="best", eval_steps=3, metric="accuracy", n_train=80)
    steps = [row["step"] for row in result.training["evaluations"]]
    values = [row["accuracy"] for row in result.training["evaluations"]]
    assert steps == [3, 6, 9, 12]
    assert result.training["best_step"] == steps[int(np.argmax(values))]
    assert result.validation["accuracy"] == pytest.approx(max(values))
    assert result.task["texts"]["train"] + result.task["texts"]["validation"] == 80


def test_the_test_split_is_read_once_and_at_the_end(model, monkeypatch):
    from tokenworth.adaptation.routes.tuned_predictor import TunedPredictor

    task, inner, calls = planted_task(80), TunedPredictor.scores, []
    monkeypatch.setattr(TunedPredictor, "scores", lambda self, texts: (calls.append(len(texts)), inner(self, texts))[1])
    adapt(model, task, "full", config={**SHORT, "selection": "best", "eval_steps": 4, "calibrate": True})
    assert calls.count(len(task.test)) == 1
