"""Settings: one reader of YAML files, one checker of types and bounds, one wording for every room."""

import os
import pickle
import tracemalloc
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import numpy as np
import pytest
import torch

import tokenworth as tw
import tokenworth.pretraining.published_models as publishing
from tokenworth.adaptation.route_settings import AdaptConfig, make_config
from tokenworth.adaptation.routes.lora import add_lora
from tokenworth.assessment.assessment_settings import parse_layers
from tokenworth.corpus.corpus_file import load_corpus
from tokenworth.decision.run_plan import plan_for
from tokenworth.errors import SettingError
from tokenworth.features import default_store
from tokenworth.pretraining.pretraining_settings import ModelConfig, TrainingConfig, read_config
from tokenworth.settings import (
    Bounds,
    ByComma,
    Count,
    Finite,
    Names,
    OutFolder,
    Unit,
    check_fields,
    make,
    quoted,
    read_settings,
)
from tokenworth.settings.conversion import Misfit, convert
from tokenworth.settings.declarations import declared_settings
from tokenworth.study import load_study
from tokenworth.tokenizers.tokenizer import TokenizerConfig
from tokenworth.tokenizers.tokenizer_training import train_from_file
from tokenworth.tracing.trace_settings import budget

ROOMS = {
    "routes": make_config,
    "plan": lambda path: plan_for(path, None, None),
    "trace": lambda path: budget(path, None),
    "study": load_study,
    "corpus": load_corpus,
    "pretraining": read_config,
    "tokenizer": lambda path: train_from_file(path, "nowhere"),
}
"""Everything that reads a file of settings."""


def written(folder, text):
    path = folder / "file.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def values_of(folder, text):
    return read_settings(written(folder, text))


# -- files ----------------------------------------------------------------------------------------------------------


def test_values_are_those_of_yaml_1_2_whatever_the_room(tmp_path):
    found = values_of(tmp_path, """
numbers: [1e-4, 1E5, -2.5e+3, .5, 3., 1_000, 010, 0x10, 0o17, -7, .inf]
words: [1:30, 2024-02-31, "1e-4", 1.2.3, e5, v1, =, 狐]
truths: [true, False, yes, no, on, OFF, ~, null]
yes: a key is a name
""")  # fmt: skip
    assert found["numbers"] == [1e-4, 1e5, -2500.0, 0.5, 3.0, 1000, 10, 16, 15, -7, float("inf")]
    assert [type(one) for one in found["numbers"][:7]] == [float] * 5 + [int] * 2
    assert found["words"] == ["1:30", "2024-02-31", "1e-4", "1.2.3", "e5", "v1", "=", "狐"]
    assert found["truths"] == [True, False, True, False, True, False, None, None]
    assert found["yes"] == "a key is a name"
    assert found.lines == {"numbers": 2, "words": 3, "truths": 4, "yes": 5}


def test_aliases_and_merged_sections_are_written_out(tmp_path):
    found = values_of(tmp_path, "a: &a {x: 1, y: 2}\nb: *a\nc:\n  <<: *a\n  y: 3\nd: {<<: [*a, {z: 4, x: 5}]}")
    assert found == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 2}, "c": {"x": 1, "y": 3}, "d": {"x": 1, "y": 2, "z": 4}}
    assert found["c"].lines == {"x": 1, "y": 5}


def test_files_of_editors_are_read(tmp_path):
    for data in (b"\xef\xbb\xbfsteps: 5\r\n", "steps: 5\n".encode("utf-16"), b"steps: 5"):
        assert values_of(tmp_path, data) == {"steps": 5}


BOMB = "a0: &a0 [" + "x, " * 9 + "x]\n" + "".join(f"a{i}: &a{i} [{f'*a{i - 1}, ' * 10}]\n" for i in range(1, 12))
MALFORMED = {
    "an alias bomb": (BOMB, "more than 100,000 values, aliases written out"),
    "a bomb of merged sections": ("a0: &a0 {x: 1}\n" + "".join(
        f"a{i}: &a{i} {{<<: [{f'*a{i - 1}, ' * 10}]}}\n" for i in range(1, 12)), "more than 100,000 values"),
    "an alias in itself": ("a: &a [*a]", "line 1: an alias that contains itself"),
    "deep lists": ("[" * 10_000, "line 1: more than 50 levels"),
    "deep mappings": ("a: " + "{a: " * 1000 + "1" + "}" * 1000, "more than 50 levels"),
    "an integer of 5,000 digits": ("steps: " + "9" * 5000, "line 1: a whole number of 5000 digits is larger than any"),
    "an integer of 20 digits": ("steps: 18446744073709551616", "the whole number 18446744073709551616 is larger"),
    "a tag that does not fit": ("\nsteps: !!int abc", "line 2: 'abc' is no value of the type int"),
    "a date that is none": ("steps: !!timestamp 2024-02-31", "the tag '!!timestamp' is not understood"),
    "a tag that makes an object": ("a: !!python/object/apply:os.system [true]", "write the plain value"),
    "the same key twice": ("steps: 1\nlr: 2\nsteps: 3", "line 3: 'steps' stands here again, and on line 1"),
    "several mistakes": ("a: !!int x\nb: 1\nb: 2\n[c]: 3", r"3 mistakes:\n.*line 1.*\n.*line 3.*\n.*line 4"),
    "no mapping": ("- a\n- b", "must hold lines such as '.*', not a list"),
    "nothing": ("", "must hold lines such as '.*', not nothing"),
    "an open bracket": ("a: 1\nb: [", "cannot be read as YAML \\(line 2: "),
    "two documents": ("a: 1\n---\nb: 2", "line 2: but found another document"),
    "bytes that are no text": (b"a: \xff\xfe\xfa", "it is not UTF-8"),
    "a control character": ("a: \x01", "cannot be read as YAML"),
    "megabytes": ("# comment\n" * 200_000, "is larger than 1 MB"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), MALFORMED.values(), ids=MALFORMED)
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path, text, message):
    tracemalloc.start()
    with pytest.raises(SettingError, match=message) as told:
        values_of(tmp_path, text)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 100e6
    assert len(str(told.value)) < 600


@pytest.mark.parametrize("read", ROOMS.values(), ids=ROOMS)
def test_every_room_reads_by_the_same_reader(tmp_path, read):
    for text, message in (MALFORMED["the same key twice"], MALFORMED["an alias bomb"], MALFORMED["deep lists"]):
        with pytest.raises(SettingError, match=message):
            read(written(tmp_path, text))


@pytest.mark.skipif(os.name != "posix", reason="devices and pipes are those of POSIX")
def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", tmp_path / "pipe", tmp_path, tmp_path / "nowhere", "a\0b", "x" * 5000):
        with pytest.raises(SettingError, match=r"no plain file|is a folder|cannot be read"):
            read_settings(path)


# -- values ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One field of every kind."""

    steps: Count = 1
    share: Annotated[float, Bounds(above=0, most=1)] = 0.5
    fast: bool = False
    kind: Literal["a", "b", 4] = "a"
    words: Annotated[tuple[str, ...], ByComma()] = ()
    names: Names = ()
    more: Annotated[dict[str, Any], Finite()] = field(default_factory=dict)
    most: float | None = None

    def __post_init__(self):
        check_fields(self)


def test_values_come_in_the_type_of_their_field():
    given = {"steps": 1e3, "share": 1, "kind": 4, "words": "x, y", "names": [1, "a"], "more": {"a": [1]}, "most": None}
    engine = make(Engine, given, "an engine has")
    assert engine == Engine(steps=1000, share=1.0, kind=4, words=("x", "y"), names=("1", "a"), more={"a": [1]})
    assert [type(value) for value in (engine.steps, engine.share)] == [int, float]
    assert type(Engine(steps=np.int64(3)).steps) is int
    assert type(Engine(share=np.float32(0.5)).share) is float


WRONG = [
    ({"steps": 0}, "steps must be at least 1, not 0"),
    ({"steps": True}, "steps must be a whole number, not True"),
    ({"steps": "1"}, "steps must be a whole number, not '1'"),
    ({"steps": 1.5}, "steps must be a whole number, not 1.5"),
    ({"steps": [1]}, "steps must be a whole number, not [1]"),
    ({"steps": float("nan")}, "steps must be a whole number, not nan"),
    ({"steps": 10**400}, "steps must be a whole number of at most 19 digits, not a whole number of about 400 digits"),
    ({"share": 0}, "share must be above 0 and at most 1, not 0"),
    ({"share": float("nan")}, "share must be above 0 and at most 1, not nan"),
    ({"most": float("inf")}, "most must be a finite number, not inf"),
    ({"most": 10**400}, "most must be a number of at most 19 digits, not a whole number of about 400 digits"),
    ({"fast": 1}, "fast must be true or false, not 1"),
    ({"fast": None}, "fast must be true or false, not None"),
    ({"kind": "c"}, "kind 'c' is not understood; choose one of a, b, 4"),
    ({"kind": 4.0}, "kind 4.0 is not understood; choose one of a, b, 4"),
    ({"kind": []}, "kind [] is not understood; choose one of a, b, 4"),
    ({"words": [1]}, "words must be a list of words, not [1]"),
    ({"names": [None]}, "names must be a list of names, not [None]"),
    ({"more": 3}, "more takes lines of its own, such as 'use_dora: true', not 3"),
    ({"more": {"a": {"b": [float("inf")]}}}, "more has a number in it that is not finite, at 'b'"),
    ({"shre": 1}, "an engine has no setting 'shre'; did you mean 'share'?"),
    ({7: 1}, "an engine has no setting 7; there are fast, kind, more, most, names, share, steps, words"),
    (False, "an engine takes lines of its own, such as 'key: value', not False"),
    ([1, 2], "an engine takes lines of its own, such as 'key: value', not [1, 2]"),
]


@pytest.mark.parametrize(("given", "message"), WRONG)
def test_a_value_that_does_not_fit_is_one_sentence(given, message):
    with pytest.raises(SettingError) as told:
        make(Engine, given, "an engine has")
    assert str(told.value) == message
    assert str(pickle.loads(pickle.dumps(told.value))) == message


def test_all_mistakes_are_told_with_their_lines(tmp_path):
    values = values_of(tmp_path, "steps: 0\nshre: 1\nfast: 3\nkind: c")
    with pytest.raises(SettingError) as told:
        make(Engine, values, "an engine has", place="x.yaml")
    assert str(told.value).splitlines() == [
        "x.yaml has 4 mistakes:",
        "  line 2: an engine has no setting 'shre'; did you mean 'share'?",
        "  line 1: steps must be at least 1, not 0",
        "  line 3: fast must be true or false, not 3",
        "  line 4: kind 'c' is not understood; choose one of a, b, 4",
    ]
    assert len(told.value.mistakes) == 4


def test_quoting_costs_nothing_however_large_the_value():
    deep = value = {}
    for _ in range(100_000):
        value["a"] = value = {}
    for large in (deep, "x" * 10**7, [["x" * 10**6] * 9] * 9, 10**100_000, {"狐" * 10**6: 1}):
        assert len(quoted(large)) <= 60
    assert quoted("\x1b[31m") == "'\\x1b[31m'"


@pytest.mark.parametrize("make_it", [
    lambda: AdaptConfig(steps="many"),
    lambda: ModelConfig(layers=0),
    lambda: ModelConfig(layers=10**9),
    lambda: ModelConfig(init_std=-1),
    lambda: TokenizerConfig(vocabulary=10**12),
])  # fmt: skip
def test_settings_cannot_be_made_wrong_in_python_either(make_it):
    with pytest.raises(SettingError, match="must be"):
        make_it()


# -- files of the rooms ---------------------------------------------------------------------------------------------

RUN = "sources: {a: a.txt}\n"


@pytest.mark.parametrize(("read", "text", "message"), [
    (read_config, RUN + "training: false", "training takes lines of its own, such as 'key: value', not False"),
    (read_config, RUN + "training: {micro_batch: -2}", "line 2: training: micro_batch must be at least 1, not -2"),
    (read_config, RUN + "training: {checkpoint_seconds: .nan}", "checkpoint_seconds must be at least 0, not nan"),
    (read_config, RUN + "training: {beta1: 1}", "beta1 must be at least 0 and below 1, not 1"),
    (read_config, RUN + "model: {layers: 0, width: 1e9}", r"2 mistakes:\n.*layers must be at least 1.*\n.*width must"),
    (read_config, RUN + "tokenizer: {vocabulary: 1000000000000}", "must be at least 1 and at most 2,097,152"),
    (read_config, RUN + "seed: [1]", "line 2: seed must be a whole number, not \\[1\\]"),
    (read_config, RUN + "prompts: 5", "line 2: prompts must be a list of words, not 5"),
    (read_config, "sources: {a: {path: a.txt, weight: .inf}}", "the source a: weight must be a finite number, not inf"),
    (load_study, "tasks: a\nroutes: bow\nname: ../../x", "names a folder, so it is a word without / and no"),
    (load_study, "tasks: a\nroutes: bow\nseeds: -1", "seeds must be a list, and each value in it at least 0 and at"),
    (load_study, "tasks: a\nroutes: bow\naxes: {" + ", ".join(
        f"{name}: [{', '.join(map(str, range(1, 99)))}]" for name in ("steps", "batch", "train_size")) + "}",
     "has 941,192 cells, and 100,000 are the most"),
    (load_study, "tasks: a\nroutes: bow\nsettings: {lr: 1e-4, steps: x}", "steps must be a whole number, not 'x'"),
    (make_config, "lr: 1e-4\nquantise: 4\npeft: {use_dora: true}\nstps: 1", "line 4: the routes have no setting"),
    (lambda path: train_from_file(path, "x"), "sources: 5", "sources takes lines of its own, not 5"),
])  # fmt: skip
def test_what_a_room_refuses(tmp_path, read, text, message):
    with pytest.raises(SettingError, match=message):
        read(written(tmp_path, text))


def test_small_numbers_need_no_point_in_any_room(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    assert make_config(written(tmp_path, "lr: 1e-4")).lr == 1e-4
    assert read_config(written(tmp_path, RUN + "training: {lr: 1e-4}")).training.lr == 1e-4
    assert load_corpus(written(tmp_path, RUN + "mix: {total_mb: 1e3}")).mix.total_mb == 1000
    study = load_study(written(tmp_path, "tasks: a\nroutes: bow\naxes: {lr: [1e-4]}"))
    assert study.axes == {"lr": [1e-4]}


MISTAKEN = {
    "study": (load_study, """tasks: [a]
routes:
  bow: {seeds: [x]}
  lorra:
settings: {stps: 1}
axes: {rank: 3}
variants:
  v: 5
max_texts: 0
""", """line 3: seeds of the route bow must be
line 2: route 'lorra' is not
line 5: the routes have no setting 'stps'
line 6: the axis rank must be a list
line 9: max_texts must be at least 1
line 8: the variant v may say"""),
    "pretraining": (read_config, """sources:
  a: {path: a.txt, weight: -1}
  b: 3
model: 7
training:
  beta1: 2
sed: 3
tokenizer: {special: []}
""", """line 2: the source a: weight must be
line 3: the source b names no path
line 4: model takes lines of its own
line 6: training: beta1 must be
line 7: a pretraining run has no setting 'sed'; did you mean 'seed'?
line 8: tokenizer: a tokenizer needs one special token"""),
    "corpus": (load_corpus, """sources:
  a: {path: nowhere.txt}
stages:
  near: {threshold: 2}
  semantic:
mix: 3
pack: {tokenizer: 3}
""", """line 2: source a: there is no
line 4: stage near: threshold must be above 0
line 5: stage semantic needs 'model'
line 6: mix takes lines of its own
line 7: pack: tokenizer must be a folder or settings such as 'kind: bpe', not 3"""),
    "tokenizer": (ROOMS["tokenizer"], """kind: bbpe
vocab: 3
""", """a tokenizer needs sources
line 1: kind 'bbpe' is not
line 2: a tokenizer has no setting 'vocab'"""),
}  # fmt: skip


@pytest.mark.parametrize(("read", "text", "parts"), MISTAKEN.values(), ids=MISTAKEN)
def test_every_mistake_of_a_file_is_told_at_once_with_its_line(tmp_path, read, text, parts):
    with pytest.raises(SettingError) as told:
        read(written(tmp_path, text))
    assert len(told.value.mistakes) == len(parts.splitlines())
    for part in parts.splitlines():
        assert any(one.startswith(part) for one in told.value.mistakes), part


@dataclass(frozen=True)
class Described:
    """With every part of a description."""

    seconds: Annotated[Count, Unit("seconds")] = 3
    """How long
    it takes."""
    words: tuple[str, ...] = ("a",)
    engine: Engine | None = None


def test_a_settings_class_describes_its_fields():
    seconds, words, engine = declared_settings(Described)
    assert (seconds.name, seconds.kind, seconds.unit) == ("seconds", "whole number", "seconds")
    assert (seconds.default_text, seconds.bounds, seconds.help) == ("3", "at least 1", "How long it takes.")
    assert (words.kind, words.default_text, words.help) == ("list of words", '["a"]', "")
    assert (engine.kind, engine.default_text) == ("", "null")
    assert {row.name: row.help for row in declared_settings(AdaptConfig)}[
        "batch"
    ] == "Texts of a step, over all processes."


# -- arguments ------------------------------------------------------------------------------------------------------


def test_bounds_are_seen_through_the_optional_of_older_pythons():
    """Python 3.10 takes `out: OutFolder = None` for Optional[OutFolder]."""
    wanted = Optional[OutFolder]  # noqa: UP045 - as typing.get_type_hints writes it
    assert convert("out", wanted) == "out"
    assert convert(None, wanted) is None
    assert convert(Path("out"), wanted) == Path("out")
    with pytest.raises(Misfit, match="is empty; name a folder"):
        convert("", wanted)
    with pytest.raises(Misfit, match="must be"):
        convert(3, wanted)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: tw.decide("a.csv", ["m"], typo=1), "decide has no setting 'typo'"),
    (lambda: tw.decide("a.csv", ["m"], poling="mean"), "decide has no setting 'poling'; did you mean 'pooling'?"),
    (lambda: tw.decide("a.csv", ["m"], pooling=3), "pooling must be text, not 3"),
    (lambda: tw.decide("a.csv", ["m"], budget=float("nan")), "budget must be text, not nan"),
    (lambda: tw.decide("a.csv", ["m"], price=-3), "price must be at least 0, not -3"),
    (lambda: tw.decide("a.csv", ["m"], tolerance=float("nan")), "tolerance must be at least 0 and below 1, not nan"),
    (lambda: tw.rank("a.csv", ["m"], poling="mean"), "rank has no setting 'poling'; did you mean 'pooling'?"),
    (lambda: tw.assess("m", "a.csv", max_text=1), "assess has no setting 'max_text'; did you mean 'max_texts'?"),
    (lambda: tw.assess("m", "a.csv", seed=-1), "seed must be at least 0 and at most 4,294,967,295, not -1"),
    (lambda: tw.assess("m", "a.csv", out=""), "out is empty; name a folder"),
    (lambda: tw.assess("m", "a.csv", memory_gb=float("nan")), "memory_gb must be at least 0, not nan"),
    (lambda: plan_for(5, None, None), "the routes takes? lines of its own, such as 'key: value', not 5"),
    (lambda: tw.adapt(None, "a.csv", "bow", sed=1), "adapt has no setting 'sed'; did you mean 'seed'?"),
    (lambda: tw.adapt(None, "a.csv", "bow", seed="x"), "seed must be a whole number, not 'x'"),
    (lambda: tw.load_task("a.csv", seeed=1), "load_task has no setting 'seeed'; did you mean 'seed'?"),
    (lambda: tw.load_backbone("m", lm_haed=True), "load_backbone has no setting 'lm_haed'; did you mean 'lm_head'?"),
    (lambda: tw.trace("run", "a.csv", seeds=0), "seeds must be at least 1, not 0"),
])  # fmt: skip
def test_arguments_are_checked_before_anything_is_loaded(call, message):
    with pytest.raises(SettingError, match=message):
        call()


@pytest.mark.parametrize("layers", ["0-99999999999", range(10**12), "99999999999-0,1-99999999999", "9" * 5000])
def test_layers_are_looked_at_before_they_are_written_out(layers):
    with pytest.raises(SettingError, match=r"does not exist; this backbone has layers 0|are not understood"):
        parse_layers(layers, 3)


@pytest.mark.parametrize(("variable", "call"), [
    ("WORLD_SIZE", lambda: tw.assess("m", "a.csv")),
    ("TOKENWORTH_CACHE_GB", default_store),
])  # fmt: skip
@pytest.mark.parametrize("value", ["x", "-1", "nan", "9" * 400])
def test_numbers_of_the_environment(monkeypatch, variable, value, call):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingError, match=f"{variable} is "):
        call()


@pytest.mark.parametrize(("option", "value"), [
    ("--out", ""), ("--seed", "-1"), ("--seed", str(2**32)), ("--max-length", "0"),
])  # fmt: skip
def test_options_are_refused_with_exit_code_2(monkeypatch, capsys, option, value):
    from tokenworth.cli import main

    monkeypatch.setattr("sys.argv", ["tokenworth", "assess", "a.csv", "--model", "m", option, value])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert option in capsys.readouterr().err


def test_a_rank_beyond_every_map_of_the_model_is_refused():
    model = torch.nn.Sequential(torch.nn.Linear(8, 300))
    add_lora(model, "m", AdaptConfig(rank=300, targets=("0",)), seed=0)
    with pytest.raises(
        SettingError, match=r"rank 1,000,000 is larger than any map .* 300 numbers; give --rank up to 300"
    ):
        add_lora(torch.nn.Sequential(torch.nn.Linear(8, 300)), "m", AdaptConfig(rank=10**6, targets=("0",)), seed=0)


@pytest.mark.parametrize(("parts", "weights"), [
    ({"layers": 2, "width": 8, "heads": 2, "inner_width": 32}, 2 * (2 * 8 * 16 + 3 * 8 * 32) + 100 * 8),
    ({"layers": 1, "width": 8, "heads": 2, "kv_heads": 1, "inner_width": 32, "experts": 4, "tied": False},
     2 * 8 * 12 + 4 * 3 * 8 * 32 + 2 * 100 * 8),
    ({"layers": 10_000, "width": 2**20, "heads": 2, "inner_width": 32}, None),
])  # fmt: skip
def test_a_decoder_beyond_memory_is_refused_before_it_is_built(monkeypatch, parts, weights):
    monkeypatch.setattr(publishing, "free_memory", lambda: 1000)
    tokenizer = type("Tokenizer", (), {"__len__": lambda _: 100, "eos_token_id": 0})()
    said = "weights, which take" if weights is None else f"has {weights:,} weights, which take"
    with pytest.raises(SettingError, match=said):
        publishing.new_model(ModelConfig(**parts), TrainingConfig(context=8), tokenizer, seed=0)
