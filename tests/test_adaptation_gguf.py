"""A GGUF file from the first command to the last: routes, classifiers loaded again, exports, adapters."""

import json

import numpy as np
import pytest
import torch
import transformers
from peft import LoraConfig, get_peft_model

from commands import ending as tokenworth
from gguf_files import write_gguf, write_plain
from planted import planted_task, rows_of, write_rows
from tokenworth.adaptation import adapt, load_classifier
from tokenworth.adaptation.export.sequence_classifier import export_classifier
from tokenworth.backbones import load_backbone
from tokenworth.backbones.loading.loader import identity
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.errors import SettingError
from tokenworth.pretraining.context_extension import extend_checkpoint

TRAINED = {"steps": 3, "lr": 1e-3, "rank": 2, "batch": 8, "mislabelled": False, "pooling": "last", "head_bias": False}
SETTINGS = "steps: 3\nlr: 0.001\nrank: 2\nbatch: 8\nmislabelled: false\npooling: last\nhead_bias: false\n"


@pytest.fixture(autouse=True)
def _quiet():
    with quiet_transformers():
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    with quiet_transformers():
        write_gguf(write_plain(home / "plain"), home / "tiny.gguf", "Q8_0")
    write_rows(home / "reviews.csv", rows_of(planted_task(60, 40)))
    (home / "run.yaml").write_text(SETTINGS)
    (home / "new.csv").write_text("text\nw11 w12 w13\nw21 w22 w23\n")
    return home


@pytest.mark.formats
@pytest.mark.parametrize("route", ["probe", "prompt", "lora", "full", "scratch"])
def test_classifiers_are_loaded_again(home, route):
    task, out = planted_task(40, 20), home / f"run-{route}"
    config = TRAINED if route in {"lora", "full", "scratch"} else {}
    result = adapt(str(home / "tiny.gguf"), task, route, out=out, config=config, device="cpu")
    again = np.asarray(load_classifier(out, device="cpu").predict_proba(list(task.test.texts)))
    assert np.abs(again[:, 0] - np.asarray(result.predictions["p_class 0"], dtype=float)).max() < 1e-3


@pytest.mark.parametrize("route", ["lora", "full"])
def test_exports_are_plain_folders_that_the_library_loads_alone(home, route):
    task, out = planted_task(40, 20), home / f"exported-{route}"
    adapt(str(home / "tiny.gguf"), task, route, out=out, config={**TRAINED, "dtype": "float32"}, device="cpu")
    classifier = load_classifier(out, device="cpu")
    assert export_classifier(classifier, out / "plain") < 1e-3
    model = transformers.AutoModelForSequenceClassification.from_pretrained(out / "plain").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(out / "plain")
    texts = list(task.test.texts)
    with torch.inference_mode():
        found = torch.cat([model(input_ids=tokenizer(text, return_tensors="pt")["input_ids"]).logits for text in texts])
    assert np.allclose(found.softmax(-1).numpy(), classifier.predict_proba(texts), atol=1e-5)
    assert (out / "plain" / "model.safetensors").is_file()
    assert "quantization_config" not in json.loads((out / "plain" / "config.json").read_text())


def test_an_adapter_finds_the_file_it_was_trained_on(home):
    """By a path beside it, as peft writes what it was given."""
    ids = torch.tensor([[4, 9, 30, 31, 7, 5, 60, 12]])
    base = load_backbone(str(home / "tiny.gguf"), dtype="float32", device="cpu")
    settings = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"])
    adapted = get_peft_model(base.model, settings).eval()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        for name, weights in adapted.named_parameters():
            if "lora_" in name:
                weights.copy_(0.3 * torch.randn_like(weights))
    with torch.inference_mode():
        wanted = adapted(input_ids=ids)[0]
    adapted.save_pretrained(home / "adapter")
    path = home / "adapter" / "adapter_config.json"
    for named in (str(home / "tiny.gguf"), "../tiny.gguf"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": named}))
        found = load_backbone(str(home / "adapter"), dtype="float32", device="cpu")
        with torch.inference_mode():
            torch.testing.assert_close(found.model(input_ids=ids)[0], wanted, rtol=1e-4, atol=1e-5)
        assert found.fingerprint == identity(str(home / "adapter")) != identity(str(home / "tiny.gguf"))
        assert "GGUF" in " ".join(found.notes)


def test_longer_contexts_need_the_plain_folder(home):
    with pytest.raises(SettingError, match="give the plain folder"):
        extend_checkpoint(str(home / "tiny.gguf"), home / "longer", factor=2)


@pytest.mark.slow
@pytest.mark.formats
def test_the_command_line_from_ranking_to_predictions(home):
    ranked = tokenworth("rank", "reviews.csv", "tiny.gguf", "tiny.gguf@random", "--out", "ranking", cwd=home)
    assert "tiny.gguf@random" in ranked.out
    tokenworth("assess", "reviews.csv", "--model", "tiny.gguf", "--out", "assessed", cwd=home)
    for name in ("report.html", "assessment.json"):
        assert "bits a weight" in (home / "assessed" / name).read_text(encoding="utf-8"), name
    lora = ("--route", "lora", "--model", "tiny.gguf", "--config", "run.yaml", "--out", "lora")
    tokenworth("adapt", "reviews.csv", *lora, cwd=home)
    assert "predicted" in tokenworth("predict", "lora", "new.csv", cwd=home).out
    tokenworth("export", "lora", "plain-lora", cwd=home)
    assert (home / "plain-lora" / "model.safetensors").is_file()
    counted = json.loads(tokenworth("doctor", "--model", "tiny.gguf", "--task", "reviews.csv", "--json", cwd=home).out)
    assert any("forecast" in name for name in counted)


@pytest.mark.slow
@pytest.mark.formats
def test_decide_weighs_the_routes_of_a_file(home):
    said = tokenworth("decide", "reviews.csv", "tiny.gguf", "--out", "decided", cwd=home).out
    for route in ("bow", "probe", "lora", "full", "scratch"):
        assert route in said
    assert "tiny.gguf" in (home / "decided" / "report.html").read_text(encoding="utf-8")
