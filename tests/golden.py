"""Golden numbers: what the package says of made-up inputs, recorded once and held to the bit.

    python tests/golden.py record FOLDER [CASE...]     write what this tree says (PYTHONPATH chooses the tree); without
                                                       CASE all of made-up inputs, for `real` those of real texts
    python tests/golden.py compare FOLDER [CASE...]    run the cases recorded there again; every difference is a line

A fixture is what a case returned, as JSON: floats as Python writes them (the shortest text that reads back to the same
bits), keys and types as they are.  On the machine of the recording (`facts_of_machine`) all has to be equal; on others
numbers may differ by rounding, which the case bounds, and what is a function of all bits is not compared.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("golden")
MACHINE = "machine.json"

VARYING = frozenset(
    {
        "seconds",
        "timings",
        "environment",
        "tokens_per_second",
        "version",
        "peak_memory_bytes",
        "peak_device_bytes",
        "energy_joules",
        "loop_seconds",
        "cost.stages",
        "forward_pass.forward_seconds",
        "forward_pass.pooling_seconds",
        "forward_pass.moments_seconds",
        "forward_pass.checkpoint_seconds",
        "corpus.json.key",
    }
)
"""Keys (or OBJECT.KEY) whose values differ from run to run, or tell of the machine; that they are there is compared."""

BITS_ALONE = frozenset(
    {
        "bits",
        "fingerprint",
        "continuation",
        "calibration",
        "ntps_published",
        "ntps_published_chance",
    }
)
"""Keys whose values are functions of all bits, of the versions of libraries, or of a threshold at the size of rounding
(bins of a calibration, NTPS as the published code has it): not compared where rounding differs."""

ADDED = frozenset({"schema", "command", "influence"})
"""Keys that came after the recording and are no difference."""

_SECONDS = re.compile(r"FLOPs in [\d,]+ s\.")  # in a sentence of every route that trains
_NUMBERS = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")


# -- facts --------------------------------------------------------------------------------------------------------


def facts_of_machine() -> dict[str, Any]:
    """All that decides which bits come out: processor, libraries with the kernels they chose, threads."""
    from importlib.metadata import version

    import numpy as np
    import scipy.linalg  # loads its BLAS
    import torch
    from threadpoolctl import threadpool_info

    from tokenworth.base.float32_products import product_decision

    assert np.eye(2) @ np.eye(2) is not None
    assert scipy.linalg.__name__
    pools = ("internal_api", "version", "architecture", "num_threads")
    packages = ("torch", "numpy", "scipy", "scikit-learn", "pandas", "transformers", "tokenizers", "peft", "accelerate")
    limits = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")
    return {
        "processor": _processor(),
        "torch uses": torch.backends.cpu.get_cpu_capability(),
        "limits": {name: os.environ.get(name, "") for name in limits},
        "threads": torch.get_num_threads(),
        "float32 products": product_decision().library,
        "libraries": sorted(
            {" ".join(str(pool[name]) for name in pools if name in pool) for pool in threadpool_info()}
        ),
        "packages": {name: version(name) for name in packages},
        "python": ".".join(map(str, sys.version_info[:2])),
    }


def _processor() -> str:
    """Name, family, model, stepping and instruction sets, as Linux tells them."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
    stated = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = [flag for flag in stated.get("flags", "").split() if flag.startswith(("avx", "amx", "fma"))]
    names = ("model name", "cpu family", "model", "stepping")
    return " ".join([*(stated.get(name, "") for name in names), *sorted(flags)])


def unlike(recorded: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """What differs between two machines, if anything does."""
    return [name for name in sorted({*recorded, *here}) if recorded.get(name) != here.get(name)]


# -- plain values -------------------------------------------------------------------------------------------------


def plain(value: Any, home: Path, parent: str = "") -> Any:
    """As JSON reads it back, without what differs from run to run; the case's folder is called HOME."""
    if isinstance(value, dict):
        kept = {_named(str(key), home): inner for key, inner in value.items()}
        varying = {key for key in kept if VARYING & {key, f"{parent}.{key}"}}
        return {key: _emptied(inner) if key in varying else plain(inner, home, key) for key, inner in kept.items()}
    if isinstance(value, list | tuple):
        return [plain(inner, home, parent) for inner in value]
    if isinstance(value, str | Path):
        return _named(str(value), home)
    if value is None or isinstance(value, bool | int | float):
        return value
    return plain(value.tolist(), home)  # numpy


def _named(text: str, home: Path) -> str:
    return _SECONDS.sub("FLOPs in # s.", text.replace(str(home), "HOME"))


def _emptied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _emptied(inner) for key, inner in value.items()}
    return "varies"


# -- comparison ---------------------------------------------------------------------------------------------------


def differences(recorded: Any, now: Any, tolerance: float, place: str = "") -> Iterator[str]:
    """Each one in a line.  Tolerance 0 asks for the same bits; another bounds numbers, those inside of texts too."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        yield from _differences_of_objects(recorded, now, tolerance, place)
    elif isinstance(recorded, list) and isinstance(now, list):
        if len(recorded) != len(now):
            yield f"{place}: {len(recorded)} entries were recorded, there are {len(now)}"
        for index, (old, new) in enumerate(zip(recorded, now, strict=False)):
            yield from differences(old, new, tolerance, f"{place}[{index}]")
    elif not _equal(recorded, now, tolerance):
        yield f"{place}: was {recorded!r}, is {now!r}"


def _differences_of_objects(
    recorded: dict[str, Any], now: dict[str, Any], tolerance: float, place: str
) -> Iterator[str]:
    yield from (f"{place}.{key}: is no longer there" for key in recorded if key not in now)
    yield from (f"{place}.{key}: is new" for key in now if key not in recorded and key not in ADDED)
    for key, value in recorded.items():
        if key in now and not (tolerance and key in BITS_ALONE):
            yield from differences(value, now[key], tolerance, f"{place}.{key}")


def _equal(recorded: Any, now: Any, tolerance: float) -> bool:
    if type(recorded) is not type(now):
        return False
    if isinstance(recorded, float):
        if recorded == now or (math.isnan(recorded) and math.isnan(now)):
            return math.copysign(1, recorded) == math.copysign(1, now) or bool(tolerance)
        return abs(recorded - now) <= tolerance * max(1.0, abs(recorded))
    if isinstance(recorded, str) and tolerance:
        return _same_text(recorded, now, tolerance)
    return bool(recorded == now)


def _same_text(recorded: str, now: str, tolerance: float) -> bool:
    """Equal but for numbers, which may differ by a unit of their last digit."""
    if _NUMBERS.sub("#", recorded) != _NUMBERS.sub("#", now):
        return False
    pairs = zip(_NUMBERS.findall(recorded), _NUMBERS.findall(now), strict=True)
    return all(old == new or ("." in old and _near(old, new, tolerance)) for old, new in pairs)


def _near(recorded: str, now: str, tolerance: float) -> bool:
    mantissa, _, exponent = recorded.partition("e")
    digit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    old, new = (float(text.replace(",", "")) for text in (recorded, now))
    return abs(old - new) <= 1.01 * digit + tolerance * abs(old)


# -- cases --------------------------------------------------------------------------------------------------------


def run_case(name: str) -> Any:
    """What a case says now, in a folder and a cache of its own."""
    from golden_cases import CASES

    with tempfile.TemporaryDirectory(prefix="golden-") as folder:
        home = Path(folder).resolve()
        with _cache(home / "cache"):
            return plain(CASES[name].make(home), home)


@contextmanager
def _cache(folder: Path) -> Iterator[None]:
    """An empty cache, in which dtype auto stands for float32 wherever a command does not let it be said."""
    from number_formats import decide

    before = os.environ.get("TOKENWORTH_CACHE")
    os.environ["TOKENWORTH_CACHE"] = str(folder)
    decide(folder, "float32")
    try:
        yield
    finally:
        os.environ.pop("TOKENWORTH_CACHE")
        if before is not None:
            os.environ["TOKENWORTH_CACHE"] = before


def recorded(folder: Path, name: str) -> Any:
    """The fixture of a case."""
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def tolerance_here(folder: Path, name: str) -> float:
    """0 where this is the machine of the recording; else what rounding may do to the case."""
    from golden_cases import CASES

    return CASES[name].rounding if unlike(recorded_machine(folder), facts_of_machine()) else 0.0


def recorded_machine(folder: Path) -> dict[str, Any]:
    """The machine that the fixtures of a folder come from."""
    facts: dict[str, Any] = json.loads((folder / MACHINE).read_text(encoding="utf-8"))
    return facts


def compared(folder: Path, name: str, tolerance: float) -> list[str]:
    """Differences between what a case says now and its fixture."""
    now = json.loads(json.dumps(run_case(name)))
    return list(differences(recorded(folder, name), now, tolerance, name))


def _record(folder: Path, names: list[str]) -> None:
    from golden_cases import CASES

    folder.mkdir(parents=True, exist_ok=True)
    facts = facts_of_machine()
    if (folder / MACHINE).exists() and unlike(recorded_machine(folder), facts) and names:
        raise SystemExit(f"{folder} was recorded on another machine; record all its cases anew")
    real = names == ["real"]
    for name in [name for name, case in CASES.items() if case.real == real] if real or not names else names:
        start = time.process_time()
        text = json.dumps(run_case(name), indent=0, ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        print(f"{name}: {len(text):,} bytes, {time.process_time() - start:.1f} s of CPU", flush=True)
    (folder / MACHINE).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _compare(folder: Path, names: list[str]) -> int:
    apart = unlike(recorded_machine(folder), facts_of_machine())
    print(f"to rounding: {', '.join(apart)} differ" if apart else "to the bit", flush=True)
    total = 0
    for name in names or sorted(path.stem for path in folder.glob("*.json") if path.name != MACHINE):
        start = time.perf_counter()
        found = compared(folder, name, tolerance_here(folder, name))
        total += len(found)
        print(f"{name}: {len(found) or 'no'} differences, {time.perf_counter() - start:.1f} s", flush=True)
        print(*[f"  {line}" for line in found[:20]], sep="\n", end="\n" if found else "", flush=True)
    return int(total > 0)


if __name__ == "__main__":
    for setting, value in (("OMP_NUM_THREADS", "1"), ("HF_HUB_OFFLINE", "1"), ("TOKENIZERS_PARALLELISM", "false")):
        os.environ.setdefault(setting, value)
    verb, place, *chosen = sys.argv[1:]
    if verb not in ("record", "compare"):
        raise SystemExit(__doc__)
    sys.exit(_record(Path(place), chosen) if verb == "record" else _compare(Path(place), chosen))
