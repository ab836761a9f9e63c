"""What doctor says of a machine in plain words, and that its times are those of the arithmetic."""

from dataclasses import replace

import pytest

from tokenworth.report.terminal.machine_words import Machine, sentences

CPU = Machine("cpu", "bfloat16", 200e9, 100e9, 12e9, 2, 2)


def said(machine, **variables):
    return " ".join(sentences(machine, variables))


def test_times_follow_the_rate_and_the_size_of_the_model():
    # 2 FLOPs x 50,000 tokens at .8 of 200 GFLOP/s; LoRA: 4 x 80,000 at .6
    passes, training, *_ = sentences(CPU, {})
    assert "84 seconds for 135 million, 10.4 minutes for 1 billion, 72.9 minutes for 7 billion parameters" in passes
    assert "6.0 minutes for 135 million" in training
    assert "42 seconds for 135 million" in sentences(replace(CPU, rate=400e9), {})[0]


def test_memory_says_what_can_be_read_and_what_can_learn():
    assert "12 GB are free: weights of 6.0 billion parameters at most can be read, and of 1.0 billion" in said(CPU)
    assert "weights of 3.0 billion" in said(replace(CPU, dtype="float32"))


@pytest.mark.parametrize(
    ("machine", "variables", "words"),
    [
        (replace(CPU, threads=1), {"OMP_NUM_THREADS": "1"}, "1 of 2 processors are used (OMP_NUM_THREADS says so)"),
        (replace(CPU, dtype="float32"), {}, "multiplies bfloat16 no faster"),
        (replace(CPU, shared=True), {}, "Another program computes now"),
        (CPU, {}, "no graphics card"),
        (CPU, {"HF_HUB_OFFLINE": "1"}, "found only in its cache"),
    ],
)
def test_what_could_be_changed_is_named(machine, variables, words):
    assert words in said(machine, **variables)
    assert words not in said(replace(CPU, device="cuda", dtype="bfloat16"))
