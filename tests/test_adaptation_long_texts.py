"""Routes on texts that are longer than the model reads: right, learnt from, chosen, kept, gone on with and refused."""

import json
import runpy

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

import tokenworth.training.loop as loop
from commands import ending, together, tokenworth
from label_sets import planted_labels
from number_formats import assert_near
from planted import planted_task, rows_of, with_parts, write_rows
from processes import forked, killed_once_kept
from routes import SHORT, model_at
from small_models import WORDS
from tokenworth.adaptation import AdaptConfig, AdaptResult, adapt, load_classifier, make_config
from tokenworth.adaptation.export.export_run import export_run
from tokenworth.adaptation.export.export_settings import ExportSettings
from tokenworth.adaptation.forecast.route_forecast import forecast_route
from tokenworth.adaptation.recommended_settings import as_published
from tokenworth.adaptation.routes.tuned_predictor import TextClassifier
from tokenworth.adaptation.training.batch_packing import padded_batch
from tokenworth.adaptation.training.hyperparameter_search import Trials
from tokenworth.assessment import assess
from tokenworth.backbones import load_backbone
from tokenworth.base.aliases import LONG
from tokenworth.base.schema import FINITE
from tokenworth.decision import decide
from tokenworth.encode import normalised, pool, tokenise
from tokenworth.encode.long_texts import ReadLengths
from tokenworth.errors import AdaptError, SettingError, TaskError
from tokenworth.study import load_study, run_local
from tokenworth.study.cell_run import keyed_cells

LONG_TEXT = " ".join(WORDS[(11 * i) % 50] for i in range(130))
READS = 40
"""Tokens that the small models read."""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {family: model_at(folder, family) for family in ("llama", "bert")}


@pytest.fixture(scope="module")
def task():
    """Texts of 3 to 130 words, most of them longer than 40."""
    return planted_task(30, 12, longest=130)


def of_labels(n_train, n_test):
    """Every other text several times over."""
    task = planted_labels(n_train, n_test)
    longer = [" ".join([text] * (1 + 12 * (row % 2))) for row, text in enumerate(task.train.texts)]
    return with_parts(task, train={"texts": longer})


def late_task(n_train=120, n_test=40):
    """Nothing is said of a text's class in its first 50 words."""
    task, rng = planted_task(n_train, n_test, own=0.9, longest=8), np.random.default_rng(0)

    def later(texts):
        return [" ".join([*(WORDS[i] for i in rng.integers(10, size=50)), text]) for text in texts]

    parts = {part: {"texts": later(getattr(task, part).texts)} for part in ("train", "test")}
    return with_parts(task, **parts)


# -- equal to a loop over texts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", ["llama", "bert"])
@pytest.mark.parametrize("long", LONG)
def test_features_of_a_probe_are_means_over_pieces_read_one_by_one(models, task, family, long, dtype):
    config = {"long": long, "mislabelled": False, "dtype": dtype}
    result = adapt(models[family], task, "probe", config=config, cache=False, out=None)
    facts, backbone = result.facts, load_backbone(models[family], dtype=dtype)
    layer, how, states = facts["layer"], facts["pooling"], facts["states"]
    predictor = probe_of(models[family], task, config)
    for text in (task.train.texts[0], task.test.texts[0], LONG_TEXT, "w1"):
        tokens, features = tokenise(backbone, [text], long=long), []
        for ids in tokens.ids:
            with torch.inference_mode():
                output = backbone.model(input_ids=torch.from_numpy(ids)[None].long(), output_hidden_states=True)
            last = layer == backbone.n_layers
            read = output.last_hidden_state if last else output.hidden_states[layer]
            read = normalised(read) if states == "normalised" else read
            features.append(pool(read, torch.ones(1, len(ids), dtype=torch.bool), how)[0].float().numpy())
        assert_near(predictor.features([text])[0], np.mean(features, axis=0), dtype)
    assert ("long_texts" in facts) == (long != "first")


def probe_of(model, task, config):
    from tokenworth.adaptation.adapt_route import FITS
    from tokenworth.adaptation.job import Job
    from tokenworth.training.devices import find_devices

    rows = np.arange(len(task.train))
    job = Job("probe", model, task, rows, rows[:0], as_published(make_config(config)), config["dtype"], 0, {},
              find_devices(), cache=False)  # fmt: skip
    return FITS["probe"](job).predictor


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("route", "tuning"), [("lora", "lora"), ("lora", "soft_prompt"), ("full", "lora")])
def test_logits_are_means_over_pieces_read_one_by_one(models, task, tmp_path, route, tuning, dtype):
    more = {"tuning": tuning, "virtual_tokens": 4} if tuning != "lora" else {}
    config = {**SHORT, "steps": 3, "long": "chunks", "dtype": dtype, **more}
    result = adapt(models["bert"], task, route, config=config, out=tmp_path)
    classifier = load_classifier(tmp_path)
    predictor, texts = classifier.predictor, [*task.test.texts, LONG_TEXT]
    found = predictor.scores(texts)
    for row, text in enumerate(texts):
        tokens = tokenise(predictor.backbone, [text], long="chunks")
        assert tokens.lengths.max() <= READS - (4 if more else 0)
        logits = [predictor.scores_of([ids])[0] for ids in tokens.ids]
        assert_near(found[row], np.mean(logits, axis=0), dtype, roundings=50)
    wanted = result.predictions[["p_class 0", "p_class 1"]].to_numpy()
    assert np.array_equal(classifier.predict_proba(task.test.texts), wanted)
    assert (tmp_path / "model" / "classifier.json").read_text().count('"long": "chunks"') == 1


@pytest.mark.parametrize("weights", ["none", "balanced"])
@pytest.mark.parametrize("several", [False, True])
def test_a_step_has_the_loss_of_every_piece_as_its_share_of_its_text(models, several, weights):
    """Slow truth: before the first step, each piece alone, and dropout nowhere."""
    task = of_labels(24, 8) if several else planted_task(25, 8, longest=130)
    config = {**SHORT, "steps": 1, "long": "chunks", "dropout": 0.0, "dtype": "float32", "class_weights": weights}
    config |= {"thresholds": "half"} if several else {}
    result = adapt(models["llama"], task, "full", config=config)  # which has no dropout of its own
    backbone = load_backbone(models["llama"], dtype="float32")
    classifier = TextClassifier(backbone, task.n_classes, pooling="last+mean", dropout=0.0, bias=True, seed=0).eval()
    has_C = task.train.labels.sum(0) if several else np.bincount(task.train.labels)
    n = len(task.train)
    weight_C = torch.ones(task.n_classes)
    if weights == "balanced":
        weight_C = torch.from_numpy((n - has_C) / has_C if several else n / (task.n_classes * has_C)).float()
    from tokenworth.adaptation.training.text_order import Order

    total = whole = 0.0
    for row in Order(n, 8, 0).rows(0):
        pieces = tokenise(backbone, [task.train.texts[row]], long="chunks").ids
        target = torch.as_tensor(task.train.labels[row])
        for ids in pieces:
            with torch.no_grad():
                logits_C = classifier(padded_batch(backbone, [ids], np.array([0])))[0]
            if several:
                loss = binary_cross_entropy_with_logits(logits_C, target.float(), pos_weight=weight_C)
            else:
                loss = weight_C[target] * cross_entropy(logits_C[None], target[None])
            total += float(loss) / len(pieces)
        whole += 1.0 if several else float(weight_C[target])
    assert result.training["losses"][0] == pytest.approx(total / whole, rel=1e-5)


@pytest.mark.parametrize("route", ["probe", "lora"])
def test_where_no_text_is_longer_all_ways_are_one_to_the_bit(models, route):
    short, found = planted_task(30, 12), {}
    for long in LONG:
        config = {**SHORT, "steps": 4, "long": long, "dtype": "float32"}
        found[long] = adapt(models["bert"], short, route, config=config, cache=False)
    scores = [result.predictions[["p_class 0", "p_class 1"]].to_numpy() for result in found.values()]
    assert all(np.array_equal(scores[0], others) for others in scores[1:])
    losses = [result.training.get("losses") for result in found.values()]
    assert all(losses[0] == others for others in losses[1:])


def test_passes_of_one_piece_each_make_the_same_steps(models, task):
    found = [
        adapt(models["llama"], task, "lora", config={
            **SHORT, "steps": 5, "long": "chunks", "dtype": "float32", "dropout": 0.0, "lora_dropout": 0.0, **more
        }).training["losses"]
        for more in ({}, {"micro_batch": 1}, {"packing": False})
    ]  # fmt: skip
    for others in found[1:]:
        np.testing.assert_allclose(others, found[0], rtol=1e-3)


def test_what_stands_late_in_a_text_is_learnt_by_who_reads_it(models):
    task, f1 = late_task(), {}
    for long in LONG:
        config = {"long": long, "mislabelled": False, "dtype": "float32"}
        f1[long] = adapt(models["llama"], task, "probe", config=config, cache=False).metrics["weighted_f1"]
    assert f1["first"] < 0.7
    assert min(f1["last"], f1["ends"], f1["chunks"]) > 0.85


# -- chosen ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ["probe", "lora"])
def test_the_best_way_is_chosen_on_training_texts_and_all_are_told(models, tmp_path, route):
    task = late_task(200 if route == "probe" else 80)
    config = {**SHORT, "steps": 20, "long": "choose", "dtype": "float32"}
    result = adapt(models["llama"], task, route, config=config, cache=False, out=tmp_path / "run")
    had = result.facts["long_choice"]["had"]
    assert list(had) == list(LONG)
    chosen = result.settings["long"] if max(had.values()) > had["first"] else "first"
    assert had[chosen] == max(had.values())
    assert result.facts["long_texts"]["read"] == chosen
    assert result.task["texts"]["validation"] == 0, "afterwards they are learnt from"
    assert result.facts["long_choice"]["texts"] == round(0.1 * len(task.train))
    assert any(f"Of long texts {chosen} is read, chosen by weighted F1" in told for told in result.sentences)
    assert not (tmp_path / "run" / "tuning").exists()
    alone = adapt(models["llama"], task, route, config={**config, "long": chosen}, cache=False)
    assert result.metrics == alone.metrics
    if route == "probe":
        assert chosen != "first"
    else:
        assert result.cost["tuning_flops"] == result.facts["long_choice"]["train_flops"] > 0


def test_nothing_is_tried_where_no_text_is_longer(models):
    config = {"long": "choose", "mislabelled": False, "dtype": "float32"}
    result = adapt(models["llama"], planted_task(60), "probe", config=config, cache=False)
    assert list(result.facts["long_choice"]["had"]) == ["first"]
    assert any("No training text is longer than the 40 tokens" in told for told in result.sentences)


def test_a_choice_and_a_search_go_together(models, tmp_path):
    config = {**SHORT, "steps": 4, "long": "choose", "tune": 2, "calibrate": True, "dtype": "float32"}
    result = adapt(models["llama"], late_task(60), "lora", config=config, out=tmp_path)
    assert len(result.tuning) == 2
    assert len(result.facts["long_choice"]["had"]) == 4
    assert result.task["texts"]["validation"] > 0, "the temperature is fitted on them"


# -- going on -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_interrupted_training_on_pieces_goes_on_to_equal_numbers(models, task, tmp_path, monkeypatch, dtype):
    config = {**SHORT, "long": "chunks", "steps": 8, "checkpoint_seconds": 0, "dtype": dtype}
    whole, inner = adapt(models["llama"], task, "lora", config=config), loop.Loop._step

    def fail(self):
        if self.learner.position.step == 5:
            raise KeyboardInterrupt
        inner(self)

    monkeypatch.setattr(loop.Loop, "_step", fail)
    with pytest.raises(KeyboardInterrupt):
        adapt(models["llama"], task, "lora", config=config, out=tmp_path)
    monkeypatch.setattr(loop.Loop, "_step", inner)
    result = adapt(models["llama"], task, "lora", config=config, out=tmp_path)
    assert result.resumed_from_step == 5
    assert result.training["losses"] == whole.training["losses"]
    assert result.metrics == whole.metrics


def test_an_interrupted_choice_makes_no_trial_twice(models, tmp_path, monkeypatch):
    import tokenworth.adaptation.training.long_text_choice as choice

    config = {**SHORT, "steps": 3, "long": "choose", "dtype": "float32"}
    tried, inner = [], choice._trial

    def trial(job, fit, long, work):
        if len(tried) == 2:
            tried.append("cut")
            raise KeyboardInterrupt
        tried.append(long)
        return inner(job, fit, long, work)

    monkeypatch.setattr(choice, "_trial", trial)
    with pytest.raises(KeyboardInterrupt):
        adapt(models["llama"], late_task(60), "lora", config=config, out=tmp_path)
    adapt(models["llama"], late_task(60), "lora", config=config, out=tmp_path)
    assert tried == ["first", "last", "cut", "ends", "chunks"]


def test_of_processes_that_share_a_run_one_keeps_a_trial(tmp_path):
    for writes in (False, True):
        store = Trials({"lr": FINITE}, writes)
        assert store.keep(tmp_path / "trial", {"lr": 0.5}) == {"lr": 0.5}
        assert store.find(tmp_path / "trial") == ({"lr": 0.5} if writes else None)


@pytest.mark.slow
def test_processes_that_share_batches_of_pieces_choose_and_search_as_one(models, tmp_path):
    write_rows(tmp_path / "late.csv", rows_of(late_task(60)))
    settings = {**SHORT, "steps": 4, "dtype": "float32", "dropout": 0.0, "lora_dropout": 0.0}
    (tmp_path / "run.yaml").write_text(json.dumps({**settings, "long": "choose", "tune": 2}))
    flags = ("adapt", "late.csv", "--model", models["llama"], "--route", "lora", "--config", "run.yaml")
    tokenworth(*flags, "--out", "one", cwd=tmp_path)
    assert [done.code for done in together(2, *flags, "--out", "two", cwd=tmp_path)] == [0, 0]
    one, two = (AdaptResult.load(tmp_path / name) for name in ("one", "two"))
    assert two.cost["processes"] == 2
    assert two.facts["long_choice"]["had"] == pytest.approx(one.facts["long_choice"]["had"], abs=1e-3)
    assert two.facts["long_texts"] == one.facts["long_texts"]
    chunks = ("--long", "chunks", "--tune", 0)
    tokenworth(*flags, *chunks, "--out", "alone", cwd=tmp_path)
    assert [done.code for done in together(2, *flags, *chunks, "--out", "shared", cwd=tmp_path)] == [0, 0]
    alone, shared = (AdaptResult.load(tmp_path / name) for name in ("alone", "shared"))
    assert shared.cost["tokens"] == alone.cost["tokens"]
    assert shared.training["losses"] == pytest.approx(alone.training["losses"], rel=1e-4)


def _paced(model, folder, config):
    import time

    adapt(model, late_task(60), "lora", config=config, out=folder, progress=lambda *_: time.sleep(0.05))


@pytest.mark.slow
@pytest.mark.parametrize("long", ["chunks", "choose"])
def test_killed_the_run_ends_with_equal_numbers(models, tmp_path, long):
    config = {**SHORT, "long": long, "steps": 20, "checkpoint_seconds": 0, "dtype": "float32"}
    whole = adapt(models["llama"], late_task(60), "lora", config=config, out=tmp_path / "whole")
    folder = tmp_path / "killed"
    process = forked(_paced, models["llama"], folder, config)
    assert killed_once_kept(process, folder / "checkpoints")
    result = adapt(models["llama"], late_task(60), "lora", config=config, out=folder)
    assert result.resumed_from_step > 0
    assert result.training["losses"] == whole.training["losses"]
    assert result.metrics == whole.metrics
    assert result.facts == whole.facts


def test_kept_passes_of_one_way_are_not_those_of_another(models, task, tmp_path):
    def probed(long, cache):
        config = {"long": long, "mislabelled": False, "dtype": "float32"}
        result = adapt(models["bert"], task, "probe", config=config, cache=cache)
        return result.predictions["p_class 0"].tolist(), result.facts["pass_reused"]

    for long in LONG:
        assert probed(long, tmp_path) == probed(long, False)
    assert [probed(long, tmp_path)[1] for long in LONG] == [True] * 4


# -- forecasts, other rooms -----------------------------------------------------------------------------------------


def test_tokens_and_flops_of_pieces_are_forecast_as_they_happen(models, task):
    config = as_published(AdaptConfig(steps=10, rank=4, mislabelled=False, long="chunks", dtype="float32"))
    backbone = load_backbone(models["llama"], dtype="float32")
    read = [tokenise(backbone, part.texts, long="chunks") for part in (task.train, task.test)]
    planned = forecast_route(
        models["llama"], "lora", config, 2, *(ReadLengths(part.lengths, part.counts_N) for part in read), 1e9
    )
    result = adapt(models["llama"], task, "lora", config=config)
    assert planned.tokens == result.cost["tokens"]
    assert planned.train_flops == pytest.approx(result.cost["train_flops"], rel=1e-6)
    first = as_published(AdaptConfig(steps=10, rank=4, mislabelled=False, dtype="float32"))
    assert adapt(models["llama"], task, "lora", config=first).cost["tokens"] < planned.tokens


@pytest.mark.parametrize("long", ["last", "ends"])
def test_an_assessment_of_ends_is_one_of_texts_that_were_cut_before(models, task, long):
    def cut(text):
        words = text.split()
        if len(words) <= READS:
            return text
        return " ".join(words[-READS:] if long == "last" else [*words[: READS // 2], *words[-READS // 2 :]])

    parts = {part: {"texts": [cut(text) for text in getattr(task, part).texts]} for part in ("train", "test")}
    settings = {"dtype": "float32", "cache": False, "shuffles": 2, "logistic_layers": 0}
    found = assess(models["llama"], task, long=long, **settings)
    wanted = assess(models["llama"], with_parts(task, **parts), **settings)
    assert json.dumps(found.layers) == json.dumps(wanted.layers)
    assert found.settings["long"] == long
    assert "long" not in wanted.settings
    assert found.task["tokens"]["train"]["truncated"] > 0


def test_an_assessment_reads_no_pieces(models, task):
    with pytest.raises(SettingError, match=r"long.*chunks.*first, last"):
        assess(models["llama"], task, long="chunks")


@pytest.mark.slow
def test_a_study_crosses_the_ways(models, tmp_path):
    write_rows(tmp_path / "late.csv", rows_of(late_task(60)))
    more = "axes: {long: [first, ends, chunks]}\nsettings: {protocol: false, dtype: float32, mislabelled: false}\n"
    text = f"backbones: [{models['llama']}]\ntasks: [{tmp_path / 'late.csv'}]\nroutes: [bow, probe]\nseeds: [0]\n"
    (tmp_path / "study.yaml").write_text(text + more)
    study = load_study(tmp_path / "study.yaml")
    assert len({key for _, key in keyed_cells(study)}) == 4, "a bag of words reads whole texts"
    assert run_local(study, tmp_path / "out", workers=1) == {"finished": 4}


def test_records_of_runs_that_read_beginnings_name_nothing():
    assert "long" not in as_published(AdaptConfig()).asdict()
    assert as_published(AdaptConfig(long="ends")).asdict()["long"] == "ends"


# -- leaving the house ----------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")  # peft asks by the old name
@pytest.mark.parametrize("route", ["probe", "lora"])
@pytest.mark.parametrize("long", LONG)
def test_the_module_beside_a_classifier_reads_long_texts_as_it_does(models, task, tmp_path, route, long):
    config = {**SHORT, "steps": 3, "long": long, "dtype": "float32"}
    adapt(models["bert"], task, route, config=config, out=tmp_path)
    load = runpy.run_path(str(tmp_path / "model" / "classifier.py"))["load"]
    texts = [*task.test.texts[:4], LONG_TEXT, "w1"]
    found = load(tmp_path / "model").class_probabilities(texts).numpy()
    np.testing.assert_allclose(found, load_classifier(tmp_path).predict_proba(texts), atol=1e-5)
    card = (tmp_path / "model" / "README.md").read_text()
    assert (f"| long | {long} |" in card) == (long != "first")


@pytest.fixture(scope="module")
def finished(models, task, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    for long in ("last", "ends", "chunks"):
        config = {**SHORT, "steps": 3, "long": long, "dtype": "float32", "pooling": "last", "head_bias": False}
        adapt(models["llama"], task, "lora", config=config, out=folder / long)
    return folder


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")
@pytest.mark.parametrize("form", ["transformers", "peft"])
def test_what_no_checkpoint_says_leaves_with_the_module(finished, tmp_path, form):
    exported = export_run(finished / "ends", tmp_path / "out", ExportSettings(format=form))
    assert "classifier.py" in exported.sentences[0]
    assert "trained with long ends" in exported.sentences[0]
    load = runpy.run_path(str(tmp_path / "out" / "classifier.py"))["load"]
    found = load(tmp_path / "out").class_probabilities([LONG_TEXT]).numpy()
    np.testing.assert_allclose(found, load_classifier(finished / "ends").predict_proba([LONG_TEXT]), atol=1e-5)


@pytest.mark.slow
def test_a_graph_keeps_last_tokens_and_no_pieces(finished, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    exported = export_run(finished / "last", tmp_path / "out", ExportSettings(format="onnx"))
    assert exported.compared[1].largest < 1e-3
    for long in ("ends", "chunks"):
        with pytest.raises(AdaptError, match=f"cuts long texts at one end, and this .* long {long}; export with"):
            export_run(finished / long, tmp_path / long, ExportSettings(format="onnx"))


def test_a_damaged_classifier_is_refused_when_it_is_read(finished, tmp_path):
    import shutil

    shutil.copytree(finished / "ends", tmp_path / "run")
    path = tmp_path / "run" / "model" / "classifier.json"
    path.write_text(path.read_text().replace('"long": "ends"', '"long": "middle"'))
    with pytest.raises(AdaptError, match="one of first, last, ends, chunks"):
        load_classifier(tmp_path / "run")


# -- refused --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("settings", "words"), [
    ({"long": "middle"}, "long.*middle"),
    ({"long": "chunks", "diagnose": True}, "an assessment knows no long chunks"),
    ({"long": "choose", "shard": True}, "unlike numbers of pieces"),
    *[({"long": way, "prefix": "query: "}, f"long {way} would read parts of it without; choose first or ends")
      for way in ("last", "chunks", "choose")],
])  # fmt: skip
def test_what_does_not_go_together_is_a_sentence(settings, words):
    with pytest.raises(SettingError, match=words):
        make_config(settings)


def test_a_prompt_keeps_the_beginning_and_a_bag_of_words_all(models, task):
    with pytest.raises(SettingError, match=r"route prompt asks one question .* long ends is for probe and the"):
        adapt(models["llama"], task, "prompt", config={"long": "ends"})
    result = adapt(None, task, "bow", config={"long": "choose", "mislabelled": False})
    assert "long" not in result.settings
    assert result.task["texts"]["validation"] == 0


def test_decide_knows_no_such_runs(models, task):
    for asked in ({"config": {"long": "chunks"}}, {"long": "ends"}):
        with pytest.raises(SettingError, match="rests on finished runs that read the beginning of long texts"):
            decide(task, [models["llama"]], **asked)


def test_a_choice_needs_texts_to_choose_on(models):
    with pytest.raises(TaskError, match="too few to cut a validation part"):
        adapt(models["llama"], planted_task(4, 4), "probe", config={"long": "choose", "dtype": "float32"})


# -- the command line -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.formats
def test_the_command_chooses_predicts_and_forecasts(models, tmp_path):
    task = late_task(80, 30)
    write_rows(tmp_path / "late.csv", rows_of(task))
    plain = ("--model", models["llama"], "--quiet")
    ending("adapt", "late.csv", "--route", "probe", *plain, "--long", "choose", "--out", "run", cwd=tmp_path)
    result = AdaptResult.load(tmp_path / "run")
    assert "long_choice" in result.facts
    assert "chosen by weighted F1" in (tmp_path / "run" / "report.html").read_text()
    found = ending("predict", "run", "late.csv", "--json", cwd=tmp_path)
    predicted = [row["predicted"] for row in json.loads(found.out)]
    assert predicted == load_classifier(tmp_path / "run").predict([row[0] for row in rows_of(task)])
    told = ending("adapt", "late.csv", "--route", "prompt", *plain, "--long", "last", cwd=tmp_path, code=2)
    assert "keeps its beginning" in " ".join(told.err.split())


@pytest.mark.formats
def test_doctor_counts_the_tokens_of_all_pieces(models, tmp_path):
    """Of a model whose tokenizer names no limit."""
    write_rows(tmp_path / "late.csv", rows_of(late_task(80, 30)))
    asked = ("doctor", "--model", models["llama"], "--task", "late.csv", "--route", "lora", "--steps", 9, "--json")
    tokens = [
        json.loads(tokenworth(*asked, "--long", long, cwd=tmp_path).out)["lora tokens"] for long in ("ends", "chunks")
    ]
    assert tokens[0] == 9 * 8 * READS < tokens[1], "all texts are longer than the model reads"
