"""What will be slow on a machine, and why, in plain words."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from tokenworth.adaptation.forecast.route_forecast import TRAINING_SHARE
from tokenworth.assessment.assessment_forecast import FORWARD_SHARE, measure_rates
from tokenworth.backbones import dtype_name, resolve_device, resolve_dtype
from tokenworth.base.machine import free_on, processors
from tokenworth.base.progress import duration
from tokenworth.base.thread_waiting import others_compute

TEXTS, TOKENS = 1000, 50
"""What the times are said of."""
STEPS, BATCH = 200, 8
SIZES = {"135 million": 135e6, "1 billion": 1e9, "7 billion": 7e9}
"""Parameters of the models that the times are said of."""
_FORWARD, _LORA, _FULL = 2, 4, 6
"""FLOPs a parameter and token: a pass; one with its way back to the states; one with that to the weights, too."""
_BYTES_FULL = 12
"""Of a parameter that learns: itself and its gradient in float32, products and their cast."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What the sentences depend on."""

    device: str
    dtype: str
    rate: float
    """FLOP/s of large products in the format that dtype auto stands for, on all threads."""
    plain_rate: float
    """The same in float32."""
    memory: float
    """Free bytes, of the device's own where it has some."""
    threads: int
    processors: int
    shared: bool = False
    """Whether other programs compute now."""


def this_machine() -> Machine:
    """Measured in about a second."""
    device, shared = resolve_device("auto"), others_compute()
    dtype = resolve_dtype("auto", device)
    rates = measure_rates(device, dtype)
    memory, threads = float(free_on(device)), torch.get_num_threads()
    return Machine(str(device), dtype_name(dtype), rates.forward, rates.moments, memory, threads, processors(), shared)


def sentences(machine: Machine, variables: Mapping[str, str] = os.environ) -> list[str]:
    """The times of three sizes of models, the largest that fits, and what could be changed."""
    said = [_passes(machine), _training(machine), _memory(machine)]
    if machine.device == "cpu" and machine.dtype == "float32":
        said.append("This processor multiplies bfloat16 no faster than float32, so all is computed in float32.")
    if machine.device == "cpu" and machine.threads < machine.processors:
        why = " (OMP_NUM_THREADS says so)" if "OMP_NUM_THREADS" in variables else ""
        said.append(f"{machine.threads} of {machine.processors} processors are used{why}; with all, passes are faster.")
    if machine.device == "cpu" and machine.shared:
        said.append(
            "Another program computes now, and had its share while this was measured; without it all is faster."
        )
    if machine.device == "cpu":
        said.append("There is no graphics card that PyTorch can use; one would do all of this much faster.")
    if variables.get("HF_HUB_OFFLINE", "0") not in {"", "0"}:
        said.append("HF_HUB_OFFLINE is set: models and tasks by their name on the hub are found only in its cache.")
    return said


def _passes(machine: Machine) -> str:
    times = _listed(machine, _FORWARD * TEXTS * TOKENS / FORWARD_SHARE)
    return f"A pass over {TEXTS:,} texts of {TOKENS} tokens takes about {times}; an assessment two to three times that."


def _training(machine: Machine) -> str:
    times = _listed(machine, _LORA * STEPS * BATCH * TOKENS / TRAINING_SHARE)
    return f"LoRA, {STEPS} steps of {BATCH} such texts, takes about {times}; all weights {_FULL / _LORA:g} times that."


def _listed(machine: Machine, flops: float) -> str:
    """What so many FLOPs a parameter take."""
    return ", ".join(f"{duration(flops * n / machine.rate)} for {name}" for name, n in SIZES.items()) + " parameters"


def _memory(machine: Machine) -> str:
    narrow = 4 if machine.dtype == "float32" else 2
    read, learnt = (machine.memory / size / 1e9 for size in (narrow, _BYTES_FULL))
    return (
        f"{machine.memory / 1e9:,.0f} GB are free: weights of {read:,.1f} billion parameters at most can be read, and "
        f"of {learnt:,.1f} billion all can learn, less what texts take."
    )
