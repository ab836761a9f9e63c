"""The small pretraining loop: it learns, repeats itself, refuses what cannot work, and leaves a folder others load."""

import math
import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from tokenworth.backbones import load_backbone
from tokenworth.errors import SettingError, TokenworthError
from tokenworth.pretrain import PretrainError, TinyConfig, pretrain_tiny
from tokenworth.pretrain import tiny as tiny_module
from tokenworth.pretrain.tiny import MIN_DOCUMENTS, bits_per_byte, learning_rate
from tokenworth.pretrain.tokenizer import SEPARATOR

SMALL = TinyConfig(vocabulary=300, layers=2, width=32, heads=2, block_tokens=32, batch=8, steps=20, learning_rate=3e-3,
                   held_out_share=0.03)  # fmt: skip


def documents(n=300):
    rng = random.Random(0)
    words = ["the", "model", "reads", "a", "file", "of", "rows", "and", "gives", "back", "one", "number"]
    return [" ".join(rng.choices(words, k=rng.randint(5, 15))) for _ in range(n)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    lines, steps = [], []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    state = torch.get_rng_state()
    run = pretrain_tiny(documents(), tmp_path_factory.mktemp("run") / "new" / "model", SMALL,
                        log=lines.append, progress=lambda *now: steps.append(now))  # fmt: skip
    assert torch.equal(torch.get_rng_state(), state)
    torch.set_num_threads(threads)
    return run, lines, steps


@pytest.fixture(scope="module")
def tokenizer(trained):
    return AutoTokenizer.from_pretrained(trained[0].folder)


def message(*arguments, **settings):
    with pytest.raises(TokenworthError) as caught:
        pretrain_tiny(*arguments, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_it_learns(trained):
    run, _, steps = trained
    assert len(run.losses) == 20
    assert abs(run.losses[0] - math.log(300)) < 0.6  # random logits of variance 1 cost half a nat over guessing
    assert run.losses[-1] < 0.8 * run.losses[0]
    assert run.bits_per_byte_after < 0.8 * run.bits_per_byte_before
    assert run.tokens == 20 * 8 * 32
    assert steps == [(i + 1, 20, loss) for i, loss in enumerate(run.losses)]


def test_every_derived_quantity_is_told_before_the_first_step(trained):
    run, lines, _ = trained
    first = next(i for i, line in enumerate(lines) if line.startswith("step"))
    told = "\n".join(lines[:first])
    flop = 6 * run.parameters * run.tokens
    for part in (f"{run.parameters:,} parameters", f"{run.tokens:,} tokens", f"{flop:.1e} FLOP", "291 to learn from",
                 "9 held out", "300 kinds", f"{run.bits_per_byte_before:.3f} bits per byte"):  # fmt: skip
        assert part in told
    assert f"{run.bits_per_byte_after:.3f} bits per byte" in lines[-1]


def test_same_seed_same_numbers(trained, tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    again = pretrain_tiny(documents(), tmp_path / "a", SMALL)
    other = pretrain_tiny(documents(), tmp_path / "b", replace(SMALL, seed=1, steps=2))
    torch.set_num_threads(threads)
    run = trained[0]
    assert again.losses == run.losses
    assert again.bits_per_byte_after == run.bits_per_byte_after
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (again.folder / name).read_bytes() == (run.folder / name).read_bytes()
    assert other.losses[0] != run.losses[0]


def test_the_folder_is_plain_and_holds_the_model_that_was_trained(tmp_path, monkeypatch):
    kept = []
    save = tiny_module._save
    monkeypatch.setattr(tiny_module, "_save", lambda model, *rest: (kept.append(model), save(model, *rest)))
    run = pretrain_tiny(documents(), tmp_path, replace(SMALL, steps=3))
    names = {path.name for path in run.folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= names
    assert not any(name.startswith(".") for name in names)
    backbone = load_backbone(str(run.folder), dtype="float32", device="cpu")
    assert (backbone.n_layers, backbone.width, backbone.max_length, backbone.causal) == (2, 32, 32, True)
    assert backbone.n_parameters == run.parameters
    ids_BT = torch.tensor([backbone.tokenizer("the model reads a file")["input_ids"]])
    with torch.no_grad():
        expected = kept[0].eval()(input_ids=ids_BT, output_hidden_states=True)
        states = backbone.model(input_ids=ids_BT, output_hidden_states=True).hidden_states
        logits = AutoModelForCausalLM.from_pretrained(run.folder)(input_ids=ids_BT).logits
    assert all(torch.equal(a, b) for a, b in zip(states, expected.hidden_states, strict=True))
    assert torch.equal(logits, expected.logits)
    pretrain_tiny(documents(), tmp_path, replace(SMALL, steps=1))  # takes the place of the first
    assert {path.name for path in run.folder.iterdir()} == names


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_no_text_is_unknown_to_the_tokenizer(tokenizer, text):
    assert tokenizer.decode(tokenizer(text, verbose=False)["input_ids"]) == text


def test_texts_get_no_token_that_is_not_their_own(tokenizer):
    assert len(tokenizer) == 300
    assert tokenizer("")["input_ids"] == []
    assert tokenizer.eos_token == SEPARATOR
    assert max(tokenizer("the model reads")["input_ids"]) > 256  # merges, not bytes only


def test_stream_holds_every_document_between_separators(tokenizer):
    stream_N = tiny_module._pack(tokenizer, ["the file", "rows"])
    assert tokenizer.decode(stream_N.tolist()) == f"{SEPARATOR}the file{SEPARATOR}rows{SEPARATOR}"


class Uniform(torch.nn.Module):
    """Gives each of 256 tokens the same probability: 8 bits a token, whatever came before."""

    def forward(self, input_ids, use_cache):
        return type("Output", (), {"logits": torch.zeros(*input_ids.shape, 256)})


@pytest.mark.parametrize("block_tokens", [1, 3, 5, 6, 100])
def test_bits_per_byte_counts_every_token_once_in_blocks_of_any_length(block_tokens):
    stream_N = torch.arange(7)  # six tokens to predict
    texts = ["aé", "b"]  # four bytes
    assert bits_per_byte(Uniform(), stream_N, texts, block_tokens) == pytest.approx(6 * 8 / 4)


def test_rate_rises_to_its_peak_and_falls_to_a_tenth():
    config = TinyConfig(steps=100, learning_rate=1.0, warmup_share=0.1)
    rates = [learning_rate(step, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1.0
    assert rates[-1] == pytest.approx(0.1)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert learning_rate(0, TinyConfig(steps=1, warmup_share=0.0, learning_rate=1.0)) == 1.0


def test_a_loss_that_is_no_number_stops_before_the_update(tmp_path, monkeypatch):
    models = []
    nats = tiny_module._next_token_nats

    def third_breaks(model, blocks_BT):
        if not model.training or not torch.is_grad_enabled():
            return nats(model, blocks_BT)
        models.append({name: value.clone() for name, value in model.state_dict().items()})
        models.append(model)
        return nats(model, blocks_BT) * (math.nan if len(models) == 6 else 1)

    monkeypatch.setattr(tiny_module, "_next_token_nats", third_breaks)
    text = message(documents(), tmp_path / "model", SMALL)
    assert "step 3 of 20: loss nan" in text
    assert "lower learning_rate (now 0.003)" in text
    before, model = models[-2:]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not (tmp_path / "model").exists()


def test_an_absurd_learning_rate_is_stopped(tmp_path):
    text = message(documents(), tmp_path, replace(SMALL, learning_rate=1e38))
    assert "lower learning_rate (now 1e+38)" in text


def test_too_few_documents(tmp_path):
    text = message(["some text", "", "more"], tmp_path / "no", SMALL)
    assert text == f"2 documents that are not empty; bring {MIN_DOCUMENTS} or more"
    text = message(["word"] * MIN_DOCUMENTS, tmp_path / "no", TinyConfig(block_tokens=1000))
    assert "too few for one block of 1000" in text
    assert not (tmp_path / "no").exists()
    assert issubclass(PretrainError, RuntimeError)


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ({"width": 30, "heads": 4}, "width 30 cannot be dealt out to 4 heads in pairs; take a multiple of 8"),
        ({"vocabulary": 256}, "vocabulary 256 cannot hold 256 bytes and a separator; take 257 or more"),
        ({"steps": 0}, "steps is 0; it counts things and must be 1 or more"),
        ({"learning_rate": math.nan}, "learning_rate is nan; it must be above 0"),
        ({"held_out_share": 0.0}, "held_out_share 0.0 above 0"),
    ],
)
def test_impossible_settings_are_refused(option, expected):
    with pytest.raises(SettingError) as caught:
        TinyConfig(**option)
    assert expected in str(caught.value)
