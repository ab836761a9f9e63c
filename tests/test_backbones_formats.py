"""dtype auto: one decision a machine, whoever asks, and what makes it void."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import tokenworth.base.number_format as formats
import tokenworth.base.processor as processor
from tokenworth.backbones import resolve_dtype

CPU = torch.device("cpu")
FAST, EVEN, SLOW = {"float32": 4.0, "bfloat16": 1.0}, {"float32": 1.6, "bfloat16": 1.0}, {"float32": 1, "bfloat16": 2.0}


@pytest.fixture
def machine(auto, tmp_path, monkeypatch):
    """A processor with units for bfloat16 and no decision; called with seconds of a product, it is that fast."""
    monkeypatch.setenv("TOKENWORTH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(formats, "cpu_flags", lambda: {"avx512_bf16", "avx2"})

    def takes(seconds):
        monkeypatch.setattr(formats, "_product_seconds", lambda: seconds)
        formats._decided.cache_clear()  # as another process

    takes(FAST)
    yield takes
    formats._decided.cache_clear()


@pytest.mark.parametrize(
    ("flags", "seconds", "expected"),
    [
        ({"avx2"}, FAST, torch.float32),
        ({"avx512_bf16"}, FAST, torch.bfloat16),
        ({"avx512_bf16"}, EVEN, torch.bfloat16),
        ({"avx512_bf16"}, SLOW, torch.float32),
        ({"amx_bf16"}, FAST, torch.bfloat16),
    ],
)
def test_auto_is_the_narrow_format_where_the_processor_is_faster_with_it(
    flags, seconds, expected, machine, monkeypatch
):
    monkeypatch.setattr(formats, "cpu_flags", lambda: flags)
    machine(seconds)
    assert resolve_dtype("auto", CPU) == expected


def test_a_decision_stands_whatever_later_processes_would_measure(machine):
    assert formats.decision().dtype == "bfloat16"
    kept = json.loads(formats.decision_file().read_text())
    assert kept["gflops"]["bfloat16"] == pytest.approx(4 * kept["gflops"]["float32"], rel=0.01)
    assert kept["facts"]["torch"] == torch.__version__
    assert kept["measured"].startswith("20")
    machine(SLOW)
    assert formats.decision().dtype == "bfloat16"
    assert formats.renewed_decision().dtype == "float32"
    machine(FAST)
    assert formats.decision().dtype == "float32"


@pytest.mark.parametrize(("first", "gain", "expected"), [
    (FAST, 1.4, "bfloat16"), (FAST, 1.2, "float32"), (SLOW, 1.6, "float32"), (SLOW, 1.8, "bfloat16"),
])  # fmt: skip
def test_a_near_tie_does_not_change_a_decision(machine, first, gain, expected):
    machine(first)
    formats.decision()
    machine({"float32": gain, "bfloat16": 1.0})
    assert formats.renewed_decision().dtype == expected
    assert formats.decision().dtype == expected


def test_what_torch_or_the_processor_changes_makes_it_void(machine, monkeypatch):
    formats.decision()
    places = {formats.decision_file()}
    monkeypatch.setattr(processor, "processor_name", lambda: "another")
    places.add(formats.decision_file())
    monkeypatch.setattr(formats, "cpu_flags", lambda: {"amx_bf16"})
    places.add(formats.decision_file())
    monkeypatch.setattr(torch, "__version__", "3.0")
    places.add(formats.decision_file())
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert len({*places, formats.decision_file()}) == 5
    machine(SLOW)
    assert formats.decision().dtype == "float32"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"dtype": "float8", "gflops": null, "measured": "", "facts": {}}',
        '{"dtype": "bfloat16", "gflops": {"float32": "x"}, "measured": "", "facts": {}}',
    ],
)
def test_a_damaged_decision_is_made_anew(machine, text):
    formats.decision_file().parent.mkdir(parents=True)
    formats.decision_file().write_text(text)
    assert formats.decision().dtype == "bfloat16"
    assert json.loads(formats.decision_file().read_text())["dtype"] == "bfloat16"
    assert len(list(formats.decision_file().parent.iterdir())) == 1


def test_where_nothing_can_be_kept_it_is_said_and_works(machine, monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TOKENWORTH_CACHE", str(tmp_path / "file" / "cache"))
    assert formats.decision().dtype == "bfloat16"
    assert formats.decision().kept == ""
    assert caplog.text.count("every process measures it anew; set TOKENWORTH_CACHE") == 1


def test_a_file_system_without_links(machine, monkeypatch):
    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    assert formats.decision().kept == str(formats.decision_file())
    machine(SLOW)
    assert formats.decision().dtype == "bfloat16"


_RACE = """
import sys, tokenworth.base.number_format as formats
formats.cpu_flags = lambda: {"avx512_bf16"}
measured = []
def seconds():
    measured.append(1)
    return {"float32": 4.0 if int(sys.argv[1]) % 2 else 1.0, "bfloat16": 1.0}
formats._product_seconds = seconds
print(flush=True)
sys.stdin.readline()
print(formats.decision().dtype, len(measured))
"""


def test_processes_that_start_at_once_decide_alike(tmp_path):
    """Six that would measure opposite things, let go together: one of them decides for all."""
    environment = {**os.environ, "TOKENWORTH_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen([sys.executable, "-c", _RACE, str(number)], env=environment, text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for number in range(6)
    ]  # fmt: skip
    for process in started:
        process.stdout.readline()
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    told = [process.communicate()[0].split() for process in started]
    assert len({dtype for dtype, _ in told}) == 1
    assert sum(int(count) for _, count in told) >= 1
    (kept,) = (tmp_path / "cache").iterdir()
    assert json.loads(kept.read_text())["dtype"] == told[0][0]


def test_the_measurement_leaves_threads_as_they_were(monkeypatch):
    monkeypatch.setattr(formats, "_REPEATS", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        seconds = formats._product_seconds()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert all(0 < value < 60 for value in seconds.values())
    assert set(seconds) == {"float32", "bfloat16"}


def test_cpu_flags_from_the_kernel_agree_with_torch(monkeypatch):
    if not Path("/proc/cpuinfo").is_file() or not hasattr(torch.cpu, "get_capabilities"):
        pytest.skip("needs two sources: /proc/cpuinfo and a torch that tells capabilities")
    told = formats.cpu_flags() & formats._FLAGS
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    read = formats.cpu_flags()
    assert "fpu" in read or "fp" in read or not read
    assert read & formats._FLAGS == told
