"""Every route against a known answer: separable and shuffled tasks, likelihoods by hand, saved and loaded again."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import transformers

from number_formats import AUTO, assert_near
from planted import planted_task, with_parts
from routes import SHORT, model_at
from small_models import WORDS, write_folder
from tokenworth.adaptation import ROUTES, AdaptResult, adapt, load_classifier
from tokenworth.adaptation.evaluation.comparison import compare_results
from tokenworth.adaptation.export.sequence_classifier import export_classifier
from tokenworth.adaptation.routes.label_likelihood import mean_log_likelihoods
from tokenworth.adaptation.routes.lora import linear_maps, target_modules
from tokenworth.adaptation.routes.prompt_calibration import EMPTY_TEXTS
from tokenworth.adaptation.routes.prompt_template import template_of, verbalise
from tokenworth.backbones import account_of, load_backbone, meta_model
from tokenworth.backbones.catalog import CATALOG
from tokenworth.backbones.loading.configuration_class import published_config
from tokenworth.errors import AdaptError, BackboneError, SettingError, TokenworthError
from tokenworth.tasks import Split, Task
from tokenworth.tasks.task import count

pytestmark = pytest.mark.formats

LEARNS = {"steps": 300, "lr": 3e-3, "rank": 8, "mislabelled": False}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return model_at(tmp_path_factory.mktemp("models"), lm_head=True)


def planted_token(n_train=200, n_test=120, seed=0, n_classes=2):
    """Every text holds one of two words at a random place, and that word is its class."""
    rng = np.random.default_rng(seed)

    def part(n):
        labels = rng.permutation(np.arange(n) % n_classes)
        texts = []
        for label in labels:
            words = [WORDS[i] for i in rng.integers(20, len(WORDS), rng.integers(4, 10))]
            words[rng.integers(len(words))] = WORDS[label]
            texts.append(" ".join(words))
        return Split(texts, labels)

    train, test = part(n_train), part(n_test)
    names = tuple(f"class {c}" for c in range(n_classes))
    return Task("separable", "made up", names, train, test, (), count(train, test, n_classes), 0)


def shuffled(task):
    rng = np.random.default_rng(1)
    parts = {part: {"labels": rng.permutation(getattr(task, part).labels)} for part in ("train", "test")}
    return with_parts(task, **parts)


@pytest.mark.parametrize("route", ["bow", "probe", "lora", "full", "scratch"])
def test_a_planted_token_is_found(tmp_path, route):
    """As wide as there are words, so that a mean of random embeddings can hold them apart."""
    model = None if route == "bow" else model_at(tmp_path, hidden_size=128)
    result = adapt(model, planted_token(400), route, config=LEARNS)
    assert result.metrics["weighted_f1"] >= 0.97


@pytest.mark.parametrize("route", ROUTES)
def test_shuffled_labels_stay_at_chance(tmp_path, model, route):
    """120 balanced test texts: the standard deviation of an accuracy at chance is .046."""
    model = model_at(tmp_path, "bert") if route == "contrastive" else model
    result = adapt(None if route == "bow" else model, shuffled(planted_token()), route, config=LEARNS | {"steps": 100})
    assert abs(result.metrics["accuracy"] - 0.5) < 0.16


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("family", ["llama", "bert"])
def test_what_is_saved_predicts_the_same(tmp_path, model, route, family):
    if (family, route) in {("bert", "prompt"), ("llama", "contrastive")}:
        pytest.skip("an encoder predicts no next tokens, and a decoder is not trained by pairs; see the tests of that")
    name = model if family == "llama" else model_at(tmp_path, family)
    task = planted_task(40, 30, 3)
    result = adapt(None if route == "bow" else name, task, route, out=tmp_path / "out", config=SHORT)
    classifier = load_classifier(tmp_path / "out")
    assert classifier.label_names == task.label_names
    assert classifier.predict(task.test.texts) == list(result.predictions["predicted"])
    probabilities = result.predictions[[f"p_{name}" for name in task.label_names]].to_numpy()
    np.testing.assert_allclose(classifier.predict_proba(task.test.texts), probabilities, atol=1e-5)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.suffix in {".bin", ".pkl", ".pt", ".part"}]
    again = AdaptResult.load(tmp_path / "out")
    assert again.metrics == result.metrics
    assert list(again.predictions["label"]) == [task.label_names[y] for y in task.test.labels]


def test_no_texts_give_no_predictions(tmp_path):
    adapt(None, planted_task(40), "bow", out=tmp_path, config=SHORT)
    assert load_classifier(tmp_path).predict([]) == []


def test_an_adapter_is_refused_by_another_backbone(tmp_path, model):
    adapt(model, planted_task(40), "lora", out=tmp_path / "out", config=SHORT)
    other = model_at(tmp_path, seed=9)
    with pytest.raises(AdaptError, match="was made for another backbone"):
        load_classifier(tmp_path / "out", model=other)
    with pytest.raises(AdaptError, match="holds no classifier"):
        load_classifier(tmp_path)


def test_a_loaded_backbone_serves_a_saved_classifier_and_stays_as_it_is(tmp_path, model):
    task = planted_task(40, 20)
    result = adapt(model, task, "lora", out=tmp_path, config=SHORT)
    backbone = load_backbone(model, dtype="float32")
    names = list(backbone.model.state_dict())
    classifier = load_classifier(tmp_path, model=backbone)
    assert classifier.predict(task.test.texts) == list(result.predictions["predicted"])
    assert list(backbone.model.state_dict()) == names
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "model").rglob("*") if path.is_file()}
    assert modes == {(tmp_path / "model").stat().st_mode & 0o666}


def test_a_damaged_classifier_is_one_sentence(tmp_path, model):
    adapt(model, planted_task(40), "lora", out=tmp_path, config=SHORT)
    head = tmp_path / "model" / "head.safetensors"
    head.write_bytes(head.read_bytes()[:50])
    with pytest.raises(AdaptError, match="holds no classifier that can be read"):
        load_classifier(tmp_path)


def test_a_backbone_that_is_given_is_left_as_it_is(model):
    backbone = load_backbone(model, dtype="float32")
    before = {name: value.clone() for name, value in backbone.model.state_dict().items()}
    for route in ("probe", "lora", "full", "scratch"):
        adapt(backbone, planted_task(40), route, config=SHORT)
    after = backbone.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())


# -- probe --------------------------------------------------------------------------------------------------------


def test_the_probe_needs_no_pass_where_the_assessment_ran(tmp_path, model, monkeypatch):
    from tokenworth.assessment import assess

    task = planted_task(60)
    assess(model, task, cache=tmp_path)
    monkeypatch.setattr("tokenworth.encode.forward_pass.run_batch", lambda *_: pytest.fail("a forward pass was made"))
    result = adapt(model, task, "probe", cache=tmp_path, config=SHORT)
    assert result.facts["pass_reused"]
    assert result.cost["tokens"] == 0


# -- LoRA ---------------------------------------------------------------------------------------------------------


def test_targets_of_the_published_backbones_are_those_of_the_papers():
    model = meta_model(published_config(CATALOG["Qwen2-0.5B"]))
    assert target_modules(model, "Qwen2-0.5B", ("auto",)) == ["k_proj", "q_proj", "v_proj"]
    assert target_modules(model, "Qwen/Qwen2-0.5B@random", ("auto",)) == ["k_proj", "q_proj", "v_proj"]
    assert target_modules(model, "mine", ("auto",)) == sorted(linear_maps(model))


def test_targets_that_match_nothing_are_an_error_that_lists_those_there_are(model):
    with pytest.raises(SettingError, match=r"no linear map of the model is called 'query'; there are down_proj \(3\)"):
        adapt(model, planted_task(40), "lora", config={**SHORT, "targets": "q_proj,query"})


@pytest.mark.parametrize("extra", [{"use_dora": True}, {"use_rslora": True}], ids=["dora", "rslora"])
def test_other_kinds_of_lora_come_through_peft(tmp_path, model, extra):
    result = adapt(model, planted_task(40), "lora", out=tmp_path, config={**SHORT, "peft": extra})
    kept = json.loads((tmp_path / "model" / "adapter" / "adapter_config.json").read_text())
    assert all(kept[name] == value for name, value in extra.items())
    assert load_classifier(tmp_path).predict(["w1 w2"])
    assert result.settings["peft"] == extra


@pytest.mark.parametrize("bits", [8, 4])
def test_quantised_base_weights_learn_and_load_again(tmp_path, model, bits):
    pytest.importorskip("bitsandbytes", reason="an extra: pip install tokenworth[quantise]")
    task = planted_task(40, 20)
    plain = adapt(model, task, "lora", config=SHORT)
    result = adapt(model, task, "lora", out=tmp_path, config={**SHORT, "quantise": bits})
    assert result.parameters == plain.parameters
    assert result.training["losses"] == pytest.approx(plain.training["losses"], abs=0.2)
    found = load_classifier(tmp_path).predict_proba(task.test.texts)[:, 0]
    np.testing.assert_allclose(found, result.predictions["p_class 0"], atol=1e-3)


def test_unknown_fields_of_peft_are_one_sentence(model):
    with pytest.raises(SettingError, match="peft does not take these settings"):
        adapt(model, planted_task(40), "lora", config={**SHORT, "peft": {"use_doras": True}})


def test_only_what_should_learn_learns(model):
    n = load_backbone(model, dtype="float32").n_parameters
    head = 2 * 32 * 2 + 2
    counted = {route: adapt(model, planted_task(40), route, config=SHORT).parameters for route in ("lora", "full")}
    per_rank = 3 * (4 * (32 + 32) + 3 * (32 + 48))
    account = account_of(model)
    assert (account.parameters, account.lora_parameters(1, list(account.lora))) == (n, per_rank)
    assert counted["full"] == {"trainable": n + head, "total": n + head}
    assert counted["lora"] == {"trainable": 4 * per_rank + head, "total": n + 4 * per_rank + head}


# -- scratch and its tokenizer ------------------------------------------------------------------------------------


def test_scratch_does_not_see_the_pretrained_weights(tmp_path, model):
    other = write_folder(tmp_path / "other", "llama", initializer_range=0.1, seed=7)
    first, second = (adapt(name, planted_task(40), "scratch", config=SHORT) for name in (model, str(other)))
    assert first.training["losses"] == second.training["losses"]
    assert first.backbone["random"]


def test_a_retrained_tokenizer_has_its_own_embedding(tmp_path, shared):
    name = str(shared / "models" / "stories260k")
    config = {**SHORT, "steps": 3, "max_length": 32}
    task = planted_token(60, 20)
    kept, retrained = (
        adapt(name, task, "scratch", out=tmp_path / how, config={**config, "tokenizer": how})
        for how in ("pretrained", "retrained")
    )
    assert kept.facts["vocabulary"] == 512
    loaded = load_classifier(tmp_path / "retrained").predictor
    assert retrained.facts["vocabulary"] == len(loaded.backbone.tokenizer) <= 512
    assert loaded.backbone.tokenizer.get_vocab() != load_backbone(name).tokenizer.get_vocab()
    assert retrained.cost["tokens"] != kept.cost["tokens"]


# -- prompt -------------------------------------------------------------------------------------------------------


def by_hand(folder, prompts, labels):
    """Every prompt with every label through the whole language model, alone."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    rows = []
    for prompt in prompts:
        row = []
        for label in labels:
            with torch.no_grad():
                logits = model(torch.tensor([prompt + label])).logits[0].log_softmax(1)
            row.append(np.mean([logits[len(prompt) - 1 + i, token].item() for i, token in enumerate(label)]))
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("family", ["llama", "gpt2", "mpt"])
@pytest.mark.parametrize("shared_tokens", [0, 20], ids=["apart", "common beginning"])
def test_likelihoods_are_those_of_one_pass_a_label(tmp_path, family, shared_tokens):
    folder = write_folder(tmp_path / family, family, lm_head=True)
    rng = np.random.default_rng(0)
    beginning = rng.integers(4, 60, shared_tokens).tolist()
    prompts = [beginning + rng.integers(4, 60, n).tolist() for n in (3, 1, 6, 5, 3)]
    labels = [[5], [6, 7, 8], [9, 10], [6, 7, 11]]
    found = mean_log_likelihoods(load_backbone(str(folder), dtype="float32", lm_head=True), prompts, labels)
    np.testing.assert_allclose(found, by_hand(folder, prompts, labels), atol=2e-5)


def test_contextual_calibration_takes_the_prior_away(tmp_path, model):
    """Over the texts without content every class then has the same mean probability: that is its definition."""
    task = replace(planted_token(60, 20), label_names=("w1", "w2"))
    result = adapt(
        model, task, "prompt", out=tmp_path, config={**SHORT, "template": "w20 {text} w21", "contextual": True}
    )
    scores = load_classifier(tmp_path).predictor.scores(list(EMPTY_TEXTS))
    np.testing.assert_allclose(np.exp(scores).mean(0), [1, 1], atol=1e-5)
    assert result.parameters["trainable"] == 0


def test_shots_stand_before_the_text_and_are_of_all_classes(tmp_path, model):
    task = replace(planted_token(60, 20), label_names=("w1", "w2"))
    adapt(model, task, "prompt", out=tmp_path, config={**SHORT, "template": "{text} w30", "shots": 2})
    facts = json.loads((tmp_path / "model" / "classifier.json").read_text())["predictor"]
    assert sorted(words for _, words in facts["examples"]) == ["w1", "w2"]


def test_a_prompt_that_leaves_no_room_is_one_sentence(model):
    long = " ".join(WORDS[:45]) + " {text}"
    with pytest.raises(SettingError, match="no room for the text"):
        adapt(model, planted_token(20, 10), "prompt", config={**SHORT, "template": long})


def test_an_encoder_cannot_be_prompted(tmp_path):
    with pytest.raises(BackboneError, match="cannot be prompted"):
        adapt(model_at(tmp_path, "bert"), planted_task(40), "prompt", config=SHORT)


def test_a_chat_template_is_used_where_the_model_has_one(tmp_path):
    folder = write_folder(tmp_path / "llama", "llama", lm_head=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = "{% for m in messages %}w50 {{ m['content'] }} w51{% endfor %} w52"
    tokenizer.save_pretrained(folder)
    task = replace(planted_token(20, 10), label_names=("w1", "w2"))
    config = {**SHORT, "template": "{text} w30", "dtype": "float32", "system": ""}
    adapt(str(folder), task, "prompt", out=tmp_path / "out", config=config)
    found = load_classifier(tmp_path / "out").predictor.scores(task.test.texts)
    words = tokenizer.get_vocab()
    prompts = [[words[w] for w in f"w50 {text} w30 w51 w52".split()] for text in task.test.texts]
    assert_near(found, by_hand(folder, prompts, [[words["w1"]], [words["w2"]]]), AUTO)


def test_class_names_become_words():
    assert verbalise("AddToPlaylist", {}) == "add to playlist"
    assert verbalise("age_limit", {}) == "age limit"
    assert verbalise("pos", template_of("imdb", None).words) == "positive"
    assert verbalise("USA", {}) == "USA"
    assert template_of("mine", None).pattern == "Text: {text}\nCategory:"


# -- data, tuning, looking closer -----------------------------------------------------------------------------------


def test_training_size_is_drawn_by_class(model):
    result = adapt(model, planted_task(80), "probe", config={**SHORT, "train_size": 20})
    assert result.task["texts"] == {"train": 20, "validation": 0, "test": 60}
    with pytest.raises(SettingError, match="less than a text for each of the 2 classes"):
        adapt(None, planted_task(80), "bow", config={"train_size": 1})


def test_tuning_chooses_by_validation_and_keeps_its_trials(tmp_path, model):
    config = {**SHORT, "tune": 3, "metric": "log_loss"}
    result = adapt(model, planted_task(80), "lora", out=tmp_path, config=config)
    assert len(result.tuning) == 3
    best = min(result.tuning, key=lambda trial: trial["log_loss"])
    assert (result.settings["lr"], result.settings["rank"], result.settings["steps"]) == (
        best["lr"], best["rank"], best["steps"],
    )  # fmt: skip
    assert result.tuning[0]["lr"] == SHORT["lr"]
    assert result.task["texts"]["train"] == 80  # the final run learns from all of them
    assert result.cost["tuning_flops"] > 0
    with pytest.raises(SettingError, match="the route bow has none"):
        adapt(None, planted_task(80), "bow", config={"tune": 2})


def test_wrong_labels_are_found():
    task = planted_token(400)
    wrong = np.arange(0, 400, 40)
    labels = task.train.labels.copy()
    labels[wrong] = 1 - labels[wrong]
    result = adapt(None, with_parts(task, train={"labels": labels}), "bow")
    found = {row["row"] for row in result.mislabelled}
    assert len(found & set(wrong.tolist())) >= 9
    assert len(found) <= 15
    row = result.mislabelled[0]
    assert row["label"] != row["suggested"]
    assert row["p_label"] < row["p_suggested"]


@pytest.mark.parametrize("route", ["lora", "full", "scratch"])
def test_diagnosis_compares_before_and_after(model, route):
    config = {**LEARNS, "steps": 150, "diagnose": True}
    result = adapt(model, planted_token(), route, config=config)
    layers = result.diagnosis["layers"]
    assert [row["layer"] for row in layers] == [0, 1, 2, 3]
    assert layers[-1]["probe_accuracy_after"] > layers[-1]["probe_accuracy_before"]
    updates = {row["name"]: row for row in result.diagnosis["updates"]}
    assert len(updates) == 3 * 7
    assert all(row["relative_size"] > 0 for row in updates.values())
    if route == "lora":
        assert all(row["effective_rank"] <= 8 + 1e-6 for row in updates.values())


@pytest.mark.parametrize(("route", "read"), [("lora", 500), ("bow", 520)])
def test_a_network_is_measured_on_a_sample_of_many_training_texts(model, route, read):
    result = adapt(model, planted_token(n_train=520, n_test=40), route, config={"steps": 2, "mislabelled": False})
    said = next(sentence for sentence in result.sentences if "training texts" in sentence)
    assert result.train_metrics["texts"] == read
    assert said.startswith("On 500 of the training texts" if read == 500 else "On training texts")
    assert ("95 % interval" in said) == (read == 500), "the error of a sample is said"


def test_calibration_fits_a_temperature(model):
    result = adapt(model, planted_task(120), "full", config={**LEARNS, "calibrate": True})
    assert result.temperature != 1.0
    assert result.task["texts"]["validation"] > 0


def test_a_temperature_is_offered_where_none_was_fitted():
    for calibrate in (False, True):
        result = adapt(None, planted_task(20, 8), "bow", config={"calibrate": calibrate, "mislabelled": False})
        assert result.metrics["ece"] > 0.1
        said = next(sentence for sentence in result.sentences if "(ECE)" in sentence)
        assert said.endswith("(ECE)." if calibrate else "(ECE); calibrate: true fits a temperature.")


def test_runs_are_compared_on_the_same_texts(model):
    task = planted_token(200)
    good, bad = adapt(None, task, "bow"), adapt(model, task, "full", config={**SHORT, "steps": 1})
    rows = compare_results({"good": good, "bad": bad})
    assert rows[0]["p_value"] == 1.0
    assert rows[1]["p_value"] < 0.01
    assert rows[1]["f1_difference"] < 0
    assert rows[1]["only_first"] > rows[1]["only_this"]
    with pytest.raises(SettingError, match="only runs on the same test texts"):
        compare_results({"good": good, "other": adapt(None, planted_task(40), "bow")})


@pytest.mark.parametrize("route", ["lora", "full"])
def test_exported_checkpoints_give_the_same_logits(tmp_path, model, route, number_format):
    """In float32, and near those of the classifier in the format it was trained in."""
    config = {**SHORT, "pooling": "last", "head_bias": False}
    task = planted_task(40, 20, 3)
    adapt(model, task, route, out=tmp_path / "out", config=config)
    classifier = load_classifier(tmp_path / "out")
    assert export_classifier(classifier, tmp_path / "plain") < 1e-4
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "plain").eval()
    tokenizer, rows = transformers.AutoTokenizer.from_pretrained(tmp_path / "plain"), []
    for text, name in zip(task.test.texts, classifier.predict(task.test.texts), strict=True):
        with torch.no_grad():
            rows.append(plain(**tokenizer(text, return_tensors="pt", return_token_type_ids=False)).logits[0])
        assert plain.config.id2label[int(rows[-1].argmax())] == name
    assert plain.dtype == torch.float32
    assert_near(classifier.predictor.scores(task.test.texts), torch.stack(rows), number_format)


@pytest.mark.parametrize("route", ["prompt", "probe", "lora", "full", "scratch"])
def test_predict_computes_in_the_format_of_the_run(tmp_path, model, route, auto):
    """The same texts give the run's own confidences to the bit, whatever auto has become; others, what rounding allows.

    How products are rounded depends on what else is in a batch: so a text alone may be a few units in the last place
    off, in either format.
    """
    task = replace(planted_token(60, 30), label_names=("w1", "w2"))
    for dtype, later in (("bfloat16", "float32"), ("float32", "bfloat16")):
        auto(dtype)
        result = adapt(model, task, route, out=tmp_path / dtype, config=SHORT, cache=False)
        auto(later)
        classifier = load_classifier(tmp_path / dtype)
        together = classifier.predict_proba(task.test.texts)
        np.testing.assert_allclose(together.max(1), result.predictions["confidence"], rtol=1e-6)
        alone = np.concatenate([classifier.predictor.scores([text]) for text in task.test.texts])
        assert_near(alone, classifier.predictor.scores(task.test.texts), dtype)
    wide, narrow = (pd.read_parquet(tmp_path / name / "predictions.parquet") for name in ("float32", "bfloat16"))
    apart = abs(wide["confidence"] - narrow["confidence"]).max()
    assert apart > 0, "they are computed in two formats"


def test_what_cannot_be_exported_says_why(tmp_path, model):
    adapt(model, planted_task(40), "full", out=tmp_path / "full", config=SHORT)
    with pytest.raises(AdaptError, match="train with pooling: last and head_bias: false, which it computes too"):
        export_classifier(load_classifier(tmp_path / "full"), tmp_path / "plain")
    adapt(None, planted_task(40), "bow", out=tmp_path / "bow")
    with pytest.raises(AdaptError, match="only the routes lora, full, contrastive and scratch"):
        export_classifier(load_classifier(tmp_path / "bow"), tmp_path / "plain")


@pytest.mark.parametrize(
    ("family", "route", "pooling"),
    [("bert", "lora", "last"), ("bert", "lora", "cls"), ("distilbert", "lora", "last+mean"), ("xlnet", "full", "last")],
)
def test_an_architecture_with_another_head_is_never_advised(tmp_path, family, route, pooling):
    """A pooler, a second linear map or a summary goes before the class's last one: following the advice was no help."""
    config = {**SHORT, "steps": 2, "pooling": pooling, "head_bias": pooling != "last", "dtype": "float32"}
    adapt(model_at(tmp_path, family), planted_task(20), route, out=tmp_path / "out", config=config)
    with pytest.raises(AdaptError, match="has a head of another kind, so no setting of ours"):
        export_classifier(load_classifier(tmp_path / "out"), tmp_path / "plain")


# -- bad input ----------------------------------------------------------------------------------------------------


def test_a_class_absent_from_train_is_never_predicted_and_breaks_nothing(model):
    task = planted_task(60, 30, 3)
    kept = np.flatnonzero(task.train.labels != 2)
    task = with_parts(task, train={"texts": [task.train.texts[i] for i in kept], "labels": task.train.labels[kept]})
    for route in ("bow", "probe", "lora"):
        result = adapt(None if route == "bow" else model, task, route, config=SHORT)
        assert result.metrics["accuracy"] <= 0.7
        assert len(result.confusion["counts"]) == 3


@pytest.mark.slow
def test_ten_thousand_classes(model):
    n = 10_000
    texts = [f"{WORDS[i % 60]} {WORDS[i // 60 % 60]} {WORDS[i // 3600]}" for i in range(n)]
    names = tuple(f"class {c}" for c in range(n))
    train, test = Split(texts, np.arange(n)), Split(texts[:50], np.arange(50))
    task = Task("many", "made up", names, train, test, (), count(train, test, n), 0)
    result = adapt(model, task, "lora", config={**SHORT, "steps": 3})
    assert "counts" not in result.confusion
    assert "p_class 0" not in result.predictions
    assert np.isfinite(result.metrics["log_loss"])


def test_texts_longer_than_the_context_are_cut(model):
    task = planted_task(40)
    texts = [" ".join([text] * 40) for text in task.train.texts]
    result = adapt(model, with_parts(task, train={"texts": texts}), "full", config=SHORT)
    assert result.cost["tokens"] == 12 * 8 * 40


@pytest.mark.parametrize("model_name", [None])
def test_routes_without_their_backbone_say_so(model_name):
    with pytest.raises(SettingError, match="needs a backbone; name one with --model"):
        adapt(model_name, planted_task(40), "lora")
    with pytest.raises(SettingError, match="choose one of bow, prompt, probe, lora, full, contrastive, scratch"):
        adapt(model_name, planted_task(40), "lorra")


def test_a_run_file_is_read_and_its_mistakes_are_named(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("train_size: 20\nmislabelled: false\n")
    assert adapt(None, planted_task(80), "bow", config=path).settings["train_size"] == 20
    path.write_text("warmup_shar: 0.1\n")
    with pytest.raises(SettingError, match="no setting 'warmup_shar'; did you mean 'warmup_share'"):
        adapt(None, planted_task(80), "bow", config=path)
    path.write_text("- a\n- b\n")
    with pytest.raises(SettingError, match="must hold lines such as"):
        adapt(None, planted_task(80), "bow", config=path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"lr": -1}, "lr must be above 0"),
        ({"micro_batch": 0}, "micro_batch must be at least 1, not 0"),
        ({"weight_decay": float("nan")}, "weight_decay must be at least 0, not nan"),
        ({"dropout": 1}, "dropout must be at least 0 and below 1, not 1"),
        ({"pooling": "max"}, "choose one of auto, mean, last, cls, last\\+mean"),
        ({"metric": "f2"}, "choose one of weighted_f1"),
        ({"template": "no place"}, "does not say where the text goes"),
        ({"steps": 1.5}, "steps must be a whole number"),
        ({"calibrate": "maybe"}, "calibrate must be true or false"),
        ({"quantise": 3}, "choose one of 4, 8"),
        ({"track": "tensorboard"}, "name one with --out"),
    ],
)
def test_settings_out_of_range_are_one_sentence(model, settings, message):
    with pytest.raises(TokenworthError, match=message):
        adapt(model, planted_task(40), "lora", config={**SHORT, **settings})


def test_tensorboard_gets_the_losses(tmp_path, model):
    pytest.importorskip("tensorboard")
    adapt(model, planted_task(40), "full", out=tmp_path, config={**SHORT, "steps": 20, "track": "tensorboard"})
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    files = list(tmp_path.rglob("events.out.tfevents*"))
    tags = set()
    for file in files:
        events = EventAccumulator(str(file))
        events.Reload()
        tags |= set(events.Tags()["scalars"])
    assert {"loss", "learning_rate", "gradient_norm"} <= tags


def test_predictions_are_a_table(model):
    table = adapt(model, planted_task(40), "lora", config=SHORT).predictions
    assert isinstance(table, pd.DataFrame)
    assert list(table.columns) == ["text", "label", "predicted", "correct", "confidence", "p_class 0", "p_class 1"]
    np.testing.assert_allclose(table[["p_class 0", "p_class 1"]].sum(axis=1), 1)
