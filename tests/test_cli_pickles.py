"""Weights that are a pickle: wherever --allow-pickle is advised, the command has it, and it reaches every backbone."""

import sys
from functools import reduce
from operator import getitem
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from planted import planted_task
from small_models import write_model, write_tokenizer
from tokenworth.adaptation import AdaptConfig, adapt
from tokenworth.backbones.loading.loader import identity
from tokenworth.backbones.loading.weight_files import pickles_allowed
from tokenworth.cli import main
from tokenworth.cli.app import COMMANDS, GROUPS, app
from tokenworth.corpus.model_features import bits_per_byte, mean_states
from tokenworth.errors import BackboneError
from tokenworth.measures import load_decoder

READ_NO_WEIGHTS = {
    "backbones", "cache clear", "cache list", "compare", "completion", "demo", "doctor", "index", "scaling fit",
    "scaling plan", "study figures", "study list", "tasks", "tokenizer train",
}  # fmt: skip
"""Commands that look at configurations, results and texts alone."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    write_model(folder, "llama", lm_head=True)
    write_tokenizer(folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


@pytest.fixture
def tokenworth(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["tokenworth", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return SimpleNamespace(code=ended.value.code or 0, **capsys.readouterr()._asdict())

    return run


def _options(name):
    """Those of a command."""
    command = reduce(getitem, name.split(), app)
    return {option for argument in command.assemble_argument_collection() for option in argument.names}


def test_every_command_that_reads_weights_has_the_option():
    without = {name for name in COMMANDS if name not in GROUPS and "--allow-pickle" not in _options(name)}
    assert without == READ_NO_WEIGHTS


def test_a_saved_classifier_predicts_and_says_what_it_needs(folder, tmp_path, tokenworth):
    config = AdaptConfig(steps=2, rank=2, pooling="last", head_bias=False, mislabelled=False, dtype="float32")
    run = adapt(str(folder), planted_task(20, 10), "lora", config=config, out=tmp_path / "run", allow_pickle=True)
    assert run.metrics
    (tmp_path / "new.csv").write_text("text\nw11 w12 w13\nw21 w22\n")
    refused = tokenworth("predict", tmp_path / "run", tmp_path / "new.csv")
    assert refused.code == 1
    assert "--allow-pickle" in refused.err
    done = tokenworth(
        "predict", tmp_path / "run", tmp_path / "new.csv", "--allow-pickle", "--to", tmp_path / "to.csv", "--quiet"
    )
    assert done.code == 0, done.err
    assert len(pd.read_csv(tmp_path / "to.csv")) == 2
    exported = tokenworth("export", tmp_path / "run", tmp_path / "plain", "--allow-pickle")
    assert exported.code == 0, exported.err
    with pytest.raises(BackboneError, match="--allow-pickle"):
        identity(str(folder))  # allowed for those commands only


@pytest.mark.parametrize(
    "use",
    [
        identity,
        lambda name: load_decoder(name, device="cpu"),
        lambda name: mean_states(["w1 w2"], name),
        lambda name: bits_per_byte(["w1 w2"], name),
    ],
    ids=["identity", "measures", "states", "bits"],
)
def test_what_takes_only_a_name_is_reached_too(folder, use):
    with pytest.raises(BackboneError, match="--allow-pickle"):
        use(str(folder))
    with pickles_allowed():
        found = use(str(folder))
    assert np.isfinite(found).all() if isinstance(found, np.ndarray) else found
