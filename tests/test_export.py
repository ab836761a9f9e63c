"""Classifiers in forms that need nothing of this package, loaded by what the card says, in a process without it."""

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import commands
from planted import planted_task, with_parts
from routes import SHORT, model_at
from tokenworth.adaptation import adapt, load_classifier
from tokenworth.adaptation.export import onnx_libraries
from tokenworth.adaptation.export.export_run import export_run
from tokenworth.adaptation.export.export_settings import ExportSettings
from tokenworth.adaptation.storage.saved_classifier import Classifier
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.errors import AdaptError, SettingError
from tokenworth.probes.probability_metrics import METRICS

ODD = [
    "",
    "\n\t",
    "ΟΔΟΣ ΟΔΟΣ!",
    "½ ² Ⅷ \ufb01ne İstanbul",
    "日本語のテスト เธอ हिन्दी में",
    "it's a_b  c\x1cd",
    "[UNK] w1 ",
]
LIBRARY = {"pooling": "last", "head_bias": False}
"""Settings of a head that classes of decoders have."""


def code_of(folder):
    """The block of Python on the card of an export."""
    card = (folder / "README.md").read_text(encoding="utf-8")
    return card.split("```python\n", 1)[1].split("\n```", 1)[0]


def as_the_card_says(folder, name, texts):
    """What the function that the card gives says of texts, in a process that cannot import this package."""
    (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    lines = ["import sys", "sys.modules['tokenworth'] = None", code_of(folder), "import json, numpy as np"]
    lines += [f"found = {name}(json.load(open('texts.json', encoding='utf-8')))"]
    lines += ["json.dump(np.asarray(found, dtype=float).tolist(), open('found.json', 'w'))"]
    future = "from __future__ import annotations\n"
    program = future + "\n".join(lines).replace(future, "")
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return np.array(json.loads((folder / "found.json").read_text(encoding="utf-8")))


def plain(folder, texts):
    """What classifier.py says, loaded from its folder; it imports nothing of this package."""
    assert "import tokenworth" not in (text := (folder / "classifier.py").read_text(encoding="utf-8"))
    assert "from tokenworth" not in text
    spec = importlib.util.spec_from_file_location("classifier", folder / "classifier.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with quiet_transformers():
        return module.load(folder).class_probabilities(texts).numpy()


def run(home, model, route, **settings):
    """A short run in float32; its folder and classifier."""
    out = home / f"{route}-{len(list(home.iterdir()))}"
    config = {**SHORT, "lr": 1e-2, "dtype": "float32", **settings}
    adapt(model, planted_task(60, 30, 3), route, out=out, config=config)
    return out


def near(found, classifier, texts, atol=1e-5):
    np.testing.assert_allclose(found, classifier.predict_proba(texts), atol=atol, rtol=0)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def llama(home):
    return model_at(home, num_hidden_layers=2)


@pytest.fixture(scope="module")
def bert(home):
    return model_at(home, "bert", num_hidden_layers=2)


TEXTS = [*planted_task(60, 30, 3).test.texts, "", "w1", " ".join(["w7"] * 60)]
"""Of many lengths, the last longer than the models read."""


# -- the bag of words -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 4])
def test_a_bag_of_words_is_a_graph_and_tokenizers(tmp_path, n_classes):
    """Lower case, normal forms, marks, scripts without spaces and white space are the tokenizers' as they are ours."""
    task = planted_task(80, 20, n_classes)
    texts = [f"{text} {ODD[row % len(ODD)]}" for row, text in enumerate(task.train.texts)]
    adapt(None, with_parts(task, train={"texts": texts}), "bow", out=tmp_path / "run", config={"calibrate": True})
    classifier = load_classifier(tmp_path / "run")
    export_run(tmp_path / "run", tmp_path / "onnx", ExportSettings(format="onnx", int8=True))
    asked = [*task.test.texts, *ODD, *texts[:20]]
    near(as_the_card_says(tmp_path / "onnx", "class_probabilities", asked), classifier, asked, 1e-6)
    small = as_the_card_says(tmp_path / "onnx", "load_onnx('.', 'model.int8.onnx')", asked)
    near(small, classifier, asked, 0.1)


# -- plain modules ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "form", "settings"),
    [
        ("probe", "transformers", {"states": "normalised"}),
        ("lora", "transformers", {"pooling": "last+mean"}),
        (
            "lora",
            "peft",
            {"pooling": "mean", "prefix": "w3 ", "max_length": 9, "validation_share": 0.2, "calibrate": True},
        ),
        ("scratch", "transformers", {"pooling": "cls"}),
    ],
)
def test_a_head_that_no_class_has_goes_with_a_module_that_loads_it(home, bert, route, form, settings):
    out = run(home, bert, route, **settings)
    exported = export_run(out, out / "left", ExportSettings(format=form))
    assert "classifier.py in it loads" in exported.sentences[0]
    near(plain(out / "left", TEXTS), load_classifier(out), TEXTS)


def test_every_saved_network_has_a_card_and_is_loaded_without_us(home, llama):
    out = run(home, llama, "lora", pooling="last+mean")
    found = as_the_card_says(out / "model", "load('.').class_probabilities", TEXTS)
    near(found, load_classifier(out), TEXTS)


def test_an_exported_backbone_is_a_classifier_of_ours_too(home, bert):
    out = run(home, bert, "lora", pooling="mean")
    export_run(out, out / "left", ExportSettings())
    near(load_classifier(out / "left").predict_proba(TEXTS), load_classifier(out), TEXTS)


# -- cards ------------------------------------------------------------------------------------------------------------


def test_a_card_has_data_protocol_metrics_cost_and_limits(tmp_path):
    task = replace(planted_task(40, 20), name="a|b <script>", label_names=("*x*", "y_z"))
    result = adapt(None, task, "bow", out=tmp_path / "run")
    card = (tmp_path / "run" / "model" / "README.md").read_text(encoding="utf-8")
    assert task.fingerprint in card
    assert all(f"| {name.replace('_', ' ')} | {result.metrics[name]:.4f} |" in card for name in METRICS)
    assert f"{result.metrics['weighted_f1_low']:.4f} | {result.metrics['weighted_f1_high']:.4f} |" in card
    headings = ("Task", "Protocol", "Metrics", "Cost", "Limits", "Loading it")
    assert [line[3:] for line in card.splitlines() if line.startswith("## ")] == list(headings)
    assert r"\*x\*, y\_z" in card
    assert "<script>" not in card
    assert all(line.count(" | ") < 5 for line in card.splitlines())


# -- peft -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_base", [False, True])
def test_an_adapter_with_its_head_is_loaded_by_peft(home, llama, with_base):
    out = run(home, llama, "lora", **LIBRARY)
    classifier = load_classifier(out)
    Classifier(classifier.predictor, classifier.label_names, 1.7).save(out / "model")
    classifier = replace(classifier, temperature=1.7)
    folder = out / "left"
    export_run(out, folder, ExportSettings(format="peft", with_base=with_base))
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["task_type"] == "SEQ_CLS"
    assert set(config["modules_to_save"]) <= {"score", "classifier"}  # what vLLM takes
    assert (config["bias"], config["base_model_name_or_path"]) == ("none", str(folder / "base") if with_base else llama)
    names, asked = {}, TEXTS[:12]
    code = code_of(folder).rpartition("text = ")[0].replace("'.'", "folder").replace("'tokenizer'", "tokens")
    names |= {"folder": str(folder), "tokens": folder / "tokenizer"}
    with quiet_transformers():
        exec(code, names)
    near(library_says(names["model"], names["tokenizer"], asked), classifier, asked)


def library_says(model, tokenizer, texts):
    """Probabilities by a sequence classifier of the library."""
    inputs = [tokenizer(text, return_tensors="pt", return_token_type_ids=False) for text in texts]
    return np.array([model(**each).logits[0].softmax(-1).tolist() for each in inputs])


def test_a_base_that_others_cannot_load_is_asked_for(home, llama):
    out = run(home, f"{llama}@random", "lora", **LIBRARY)
    with pytest.raises(AdaptError, match="give --with-base"):
        export_run(out, out / "left", ExportSettings(format="peft"))
    assert not (out / "left").exists()
    export_run(out, out / "left", ExportSettings(format="peft", with_base=True))
    assert (out / "left" / "base" / "model.safetensors").is_file()


def test_the_class_of_the_library_keeps_the_temperature(home, llama):
    import transformers

    out = run(home, llama, "lora", **LIBRARY)
    classifier = replace(load_classifier(out), temperature=0.6)
    classifier.save(out / "model")
    assert "logits equal" in export_run(out, out / "left", ExportSettings()).sentences[0]
    model = transformers.AutoModelForSequenceClassification.from_pretrained(out / "left").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(out / "left")
    near(library_says(model, tokenizer, TEXTS[:9]), classifier, TEXTS[:9])


# -- ONNX graphs ------------------------------------------------------------------------------------------------------


def test_a_layer_of_an_encoder_is_a_graph(home, bert):
    """Only the blocks below the layer are in it; lengths and sizes of a batch are other than the traced ones."""
    out = run(home, bert, "probe", states="raw", prefix="w3 ", calibrate=True, validation_share=0.2)
    classifier, folder = load_classifier(out), out / "left"
    exported = export_run(out, folder, ExportSettings(format="onnx", int8=True))
    assert [row.form for row in exported.compared] == ["tokenworth", "model.onnx", "model.int8.onnx"]
    assert exported.compared[1].same == 1
    near(as_the_card_says(folder, "class_probabilities", TEXTS), classifier, TEXTS)
    near(as_the_card_says(folder, "class_probabilities", TEXTS[:1]), classifier, TEXTS[:1])
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "## In ONNX" in card
    assert "| model.int8.onnx |" in card


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "route", "settings"),
    [
        ("llama", "lora", {"pooling": "last+mean"}),
        ("llama", "probe", {"dtype": "bfloat16", "pooling": "mean"}),
        ("gpt2", "full", {"pooling": "mean", "dtype": "bfloat16"}),
        ("roberta", "scratch", {"pooling": "cls"}),
        ("modernbert", "lora", {"pooling": "mean", "max_length": 7}),
        ("albert", "probe", {}),
    ],
)
def test_networks_of_all_routes_are_graphs(home, family, route, settings):
    """From bfloat16 the graph is float32, and compared with the classifier in float32 to within 1e-3 by the export."""
    small = {} if family == "gpt2" else {"num_hidden_layers": 2}
    out = run(home, model_at(home / f"{family}-{route}", family, **small), route, **settings)
    exported = export_run(out, out / "left", ExportSettings(format="onnx"))
    narrow = settings.get("dtype") == "bfloat16"
    assert exported.compared[1].largest < (0.05 if narrow else 1e-5)
    found = as_the_card_says(out / "left", "class_probabilities", TEXTS)
    near(found, load_classifier(out), TEXTS, 0.05 if narrow else 1e-5)


@pytest.mark.slow
def test_a_real_decoder_on_real_texts(tmp_path, shared):
    from tokenworth.tasks import load_task

    task = load_task(str(shared / "data" / "tasks" / "sms_spam")).sample(120, seed=0)
    model = str(shared / "models" / "tinystories-656k")
    adapt(model, task, "probe", out=tmp_path / "run", config={"mislabelled": False, "dtype": "float32"})
    export_run(tmp_path / "run", tmp_path / "left", ExportSettings(format="onnx"))
    found = as_the_card_says(tmp_path / "left", "class_probabilities", task.test.texts)
    near(found, load_classifier(tmp_path / "run"), task.test.texts)


@pytest.mark.slow
def test_an_operator_that_onnx_does_not_have_is_named(home, bert, monkeypatch):
    import torch

    from tokenworth.adaptation.export import onnx_network

    monkeypatch.setattr(onnx_network, "normalised", torch.special.i1e)
    out = run(home, bert, "probe")
    with pytest.raises(
        AdaptError, match=r"needs the operator bessel_i1e, for which ONNX has none; export it with"
    ) as caught:
        export_run(out, out / "left", ExportSettings(format="onnx"))
    assert "\n" not in str(caught.value)
    assert not (out / "left").exists()


# -- bad input --------------------------------------------------------------------------------------------------------


def test_what_cannot_leave_says_so_in_a_sentence(home, llama, monkeypatch):
    out = run(home, llama, "full")
    adapt(None, planted_task(40), "bow", out=home / "bag")
    refusals = [
        (home / "bag", {"format": "transformers"}, AdaptError, "of a bag of words, export with --format onnx"),
        (home / "bag", {"format": "peft"}, AdaptError, "only the route lora trains an adapter"),
        (out, {"format": "peft"}, AdaptError, "only the route lora trains an adapter"),
        (out, {"int8": True}, SettingError, "--int8 belongs to --format onnx"),
        (out, {"with_base": True}, SettingError, "--with-base belongs to --format peft"),
    ]
    for place, settings, kind, sentence in refusals:
        with pytest.raises(kind, match=sentence):
            export_run(place, home / "nowhere", ExportSettings(**settings))
        assert not (home / "nowhere").exists()
    for kept in (Path(llama), out / "model"):  # a model of the library and a classifier have cards and settings, too
        (kept / "README.md").touch()
        with pytest.raises(AdaptError, match="holds something that is no exported classifier"):
            export_run(out, kept, ExportSettings())
    assert load_classifier(out)
    monkeypatch.setattr(onnx_libraries, "find_spec", lambda name: None if name == "onnxruntime" else object())
    with pytest.raises(SettingError, match=r"needs onnxruntime.*pip install 'tokenworth\[onnx\]'"):
        export_run(home / "bag", home / "nowhere", ExportSettings(format="onnx"))


def test_the_command(home):
    adapt(None, planted_task(40), "bow", out=home / "spoken")
    found = commands.tokenworth("export", "spoken", "graph", "--format", "onnx", cwd=home)
    assert found.code == 0, found.err
    assert "probabilities differ by up to" in found.out
    again = commands.tokenworth("export", "spoken", "graph", "--format", "onnx", "--texts", 5, "--json", cwd=home)
    assert json.loads(again.out)["compared"][1]["same"] == 1
    wrong = commands.tokenworth("export", "spoken", "graph", "--format", "pickle", cwd=home)
    assert wrong.code == 2
    assert wrong.err.count("\n") == 1
