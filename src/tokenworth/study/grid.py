"""A study file and the cells it asks for.

name: routes
backbones: [Qwen/Qwen2-0.5B, ./my-model]
tasks: [sst2, reviews.csv]
routes: [assess, bow, probe, lora, scratch]
seeds: [0, 1]
settings: {steps: 1000, max_length: 128}       # of all cells
axes: {rank: [8, 32], train_size: [100, null]}  # any setting, crossed with all the others
data: ../data                                   # folder of published tasks
max_texts: 2000                                 # of each part
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from itertools import product
from pathlib import Path
from typing import Any

from tokenworth.adaptation.settings import ROUTES, make_config, read_run_file, relevant_settings
from tokenworth.errors import SettingError

ASSESS = "assess"
"""The route that only looks: one assessment."""
_ASSESS_SETTINGS = frozenset({"pooling", "max_length", "dtype"})
_WITHOUT_BACKBONE = frozenset({"bow"})


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of a study."""

    backbone: str | None
    """None for routes without one."""
    task: str
    route: str
    seed: int
    settings: dict[str, Any] = field(hash=False)
    """Those that were given and matter to the route."""

    def __str__(self) -> str:
        """For people: task, backbone, route, seed and what is special."""
        special = "".join(f" {name}={value}" for name, value in sorted(self.settings.items()))
        model = f" {Path(self.backbone).name}" if self.backbone else ""
        return f"{Path(self.task).name}{model} {self.route} seed {self.seed}{special}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """What a study file says."""

    name: str
    tasks: tuple[str, ...]
    routes: tuple[str, ...]
    backbones: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    settings: dict[str, Any] = field(default_factory=dict)
    axes: dict[str, list[Any]] = field(default_factory=dict)
    data: str | None = None
    max_texts: int | None = None

    def cells(self) -> list[Cell]:
        """Every cell once, in the order of the file; what does not matter to a route makes no further cells."""
        seen: dict[str, Cell] = {}
        for seed, task, route, backbone in product(self.seeds, self.tasks, self.routes, self.backbones or (None,)):
            for settings in self._settings(route):
                cell = Cell(None if route in _WITHOUT_BACKBONE else backbone, task, route, seed, settings)
                seen.setdefault(str((cell.backbone, task, route, seed, sorted(settings.items(), key=str))), cell)
        return list(seen.values())

    def _settings(self, route: str) -> Iterator[dict[str, Any]]:
        matter = _ASSESS_SETTINGS if route == ASSESS else relevant_settings(route)
        own = {name: value for name, value in self.settings.items() if name in matter}
        axes = {name: values for name, values in self.axes.items() if name in matter}
        for point in product(*axes.values()):
            yield own | dict(zip(axes, point, strict=True))


def load_study(path: str | Path) -> Study:
    """Read and check a study file; relative paths in it are seen from its folder.

    Raises:
        SettingError: an unknown key (with the nearest known one), route or setting, or a value of the wrong kind.
    """
    found = read_run_file(path)
    known = {one.name for one in fields(Study)}
    for name in found:
        if name not in known:
            near = get_close_matches(str(name), known, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known))}"
            raise SettingError(f"{path}: a study has no key {name!r}; {hint}")
    given: dict[str, Any] = {"name": Path(path).stem, **found}
    for name in ("tasks", "routes"):
        if not given.get(name):
            raise SettingError(f"{path}: a study needs {name}; write '{name}: [...]'")
    for name in ("tasks", "routes", "backbones", "seeds"):
        given[name] = _listed(path, name, given.get(name, (0,) if name == "seeds" else ()))
    home = Path(path).resolve().parent
    given["backbones"] = tuple(_placed(home, name) for name in given["backbones"])
    given["tasks"] = tuple(_placed(home, name) for name in given["tasks"])
    given["data"] = None if given.get("data") is None else str(home / given["data"])
    study = Study(**given)
    _check(path, study)
    return study


def _listed(path: str | Path, name: str, value: Any) -> tuple[Any, ...]:
    if isinstance(value, str | int):
        return (value,)
    if not isinstance(value, list | tuple):
        raise SettingError(f"{path}: {name} must be a list, not {value!r}")
    return tuple(value)


def _placed(home: Path, name: str) -> str:
    """A path that lies beside the study file, seen from anywhere; names of the hub and of tasks stay."""
    base, mark, rest = str(name).partition("@")
    return f"{(home / base).resolve()}{mark}{rest}" if (home / base).exists() else str(name)


def _check(path: str | Path, study: Study) -> None:
    for route in study.routes:
        if route not in (ASSESS, *ROUTES):
            raise SettingError(f"{path}: route {route!r} is not understood; choose from {ASSESS}, {', '.join(ROUTES)}")
        if route not in _WITHOUT_BACKBONE and not study.backbones:
            raise SettingError(f"{path}: the route {route} needs backbones; write 'backbones: [...]'")
    for name, values in study.axes.items():
        if not isinstance(values, list) or not values:
            raise SettingError(f"{path}: the axis {name} must be a list of values, not {values!r}")
    for point in product(*study.axes.values()):
        make_config({**study.settings, **dict(zip(study.axes, point, strict=True))})  # refuses what it does not know
