"""tokenworth measure and extend: what a person sees, what a program gets, and how bad input ends."""

import json
import sys
from types import SimpleNamespace

import pyarrow as pa
import pytest
import torch

from measured_models import random_decoder, texts
from tokenworth.cli import main
from tokenworth.errors import SettingError
from tokenworth.measures import documents_of, load_decoder, measure_exposure, measure_positions, rows_of


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A dense model, a mixture of experts, and two files of documents."""
    home = tmp_path_factory.mktemp("home")
    mixture = {"num_key_value_heads": 4, "num_local_experts": 4}
    for name, decoder in (("dense", random_decoder()), ("experts", random_decoder("Mixtral", **mixture))):
        decoder.model.save_pretrained(home / name)
        decoder.tokenizer.save_pretrained(home / name)
    home.joinpath("corpus.txt").write_text("\n\n".join(texts(12, 60)), encoding="utf-8")
    home.joinpath("other.txt").write_text("\n\n".join(texts(5, 60, seed=1)), encoding="utf-8")
    words = "river stone cloud garden winter summer bridge candle forest window harbour meadow"
    home.joinpath("words.txt").write_text("\n\n".join([words, words]), encoding="utf-8")
    return home


@pytest.fixture
def tokenworth(monkeypatch, capsys, home):
    """Runs a command line in the folder: exit code and what it wrote."""

    def run(*arguments):
        monkeypatch.chdir(home)
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr(sys, "argv", ["tokenworth", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        streams = capsys.readouterr()
        return SimpleNamespace(code=ended.value.code or 0, out=streams.out, err=streams.err)

    return run


COMMANDS = [
    ("exposure", ["dense", "corpus.txt", "--prefixes", "8,16", "--continuation", 4], ["mismatch", "drift"]),
    (
        "memorisation",
        ["dense", "corpus.txt", "--held-out", "other.txt", "--prefixes", "8", "--span", 4],
        ["never seen"],
    ),
    ("positions", ["dense", "corpus.txt", "--length", 40, "--window", 16, "--bins", 4], ["beyond the window", "gain"]),
    ("retrieval", ["dense", "words.txt", "--lengths", "64", "--probes", 2, "--values", 3], ["chance 33%", "100 %"]),
    ("router", ["experts", "corpus.txt", "--length", 20], ["load of each expert", "entropy"]),
]


@pytest.mark.parametrize(("name", "arguments", "shown"), COMMANDS, ids=[name for name, *_ in COMMANDS])
def test_a_table_for_people_and_json_for_programs(tokenworth, home, name, arguments, shown):
    done = tokenworth("measure", name, *arguments)
    assert done.code == 0, done.err
    assert all(part in done.out for part in shown), done.out
    assert done.err == ""
    again = tokenworth("measure", name, *arguments, "--json", "--quiet", "--out", f"out-{name}")
    assert json.loads(again.out) == json.loads((home / f"out-{name}" / f"{name}.json").read_text())
    assert again.err == ""


def test_extend_then_measure(tokenworth, home):
    done = tokenworth("extend", "dense", "--out", "long", "--factor", 2, "--method", "ntk")
    assert done.code == 0, done.err
    assert "64 -> 128 tokens by ntk" in done.out
    assert load_decoder(str(home / "long")).context == 128
    assert tokenworth("measure", "positions", "long", "corpus.txt", "--length", 60).code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["measure", "router", "dense", "corpus.txt", "--length", 20], "is dense"),
        (["measure", "exposure", "dense", "corpus.txt", "--prefixes", "a,b"], "no list of numbers"),
        (["measure", "exposure", "dense", "gone.txt"], "gone.txt cannot be read"),
        (["measure", "exposure", "dense", "corpus.txt", "--prefixes", "500"], "bring longer documents"),
        (["extend", "dense", "--out", "x", "--method", "magic"], "choose from yarn"),
    ],
)
def test_what_a_user_can_mend_is_one_sentence(tokenworth, arguments, message):
    done = tokenworth(*arguments)
    assert done.code == 2
    assert message in done.err
    assert len(done.err.splitlines()) == 1


def test_packed_files_separators_and_whole_files(tmp_path):
    plain = tmp_path / "a.txt"
    plain.write_text("one\n\ntwo\n\n\n\nthree", encoding="utf-8")
    with pa.output_stream(tmp_path / "a.txt.zst", compression="zstd") as stream:
        stream.write(plain.read_bytes())
    assert documents_of([plain, tmp_path / "a.txt.zst"]) == ["one", "two", "three"] * 2
    assert len(documents_of([plain], whole=True)) == 1
    plain.write_text("one\n\nstill one<|endoftext|>two", encoding="utf-8")
    assert documents_of([plain]) == ["one\n\nstill one", "two"]
    (tmp_path / "b.txt.zst").write_bytes(b"no zstd")
    with pytest.raises(SettingError, match=r"b\.txt\.zst breaks off after 0 bytes"):
        documents_of([tmp_path / "b.txt.zst"])
    plain.write_text(" \n", encoding="utf-8")
    with pytest.raises(SettingError, match="no documents"):
        documents_of([plain])


def test_random_twins_are_made_by_the_seed(home):
    one, same, other = (load_decoder(f"{home / 'dense'}@random", seed=seed) for seed in (0, 0, 1))
    ids = torch.arange(5)[None]
    assert torch.equal(one.model(input_ids=ids).logits, same.model(input_ids=ids).logits)
    assert not torch.equal(one.model(input_ids=ids).logits, other.model(input_ids=ids).logits)


def test_a_real_model_on_stories(shared):
    """What a trained model must show: its own kind of text predicts better than another's, and words help later."""
    corpus = shared / "data" / "corpora" / "tinystories_sample.txt.zst"
    decoder = load_decoder(str(shared / "models" / "stories260k"))
    documents = documents_of([corpus], whole=True)
    found = measure_exposure(decoder, documents, prefixes=(64,), continuation=16, most=30)
    assert all(row["mismatch_low"] > 0 for row in found.continuation[:3])
    assert found.continuation[-1]["gold"] < 2
    beyond = measure_positions(decoder, documents, length=1024, bins=4, most=4)
    assert beyond.bins[3]["gain_high"] < 0  # plain rotary positions do not reach beyond what was trained
    assert rows_of(decoder, documents, 1024, most=4).shape == (4, 1024)
