"""A study file and the cells it asks for.

name: routes
backbones: [Qwen/Qwen2-0.5B, ./my-model]
tasks: [sst2, reviews.csv]
routes: [assess, bow, probe, lora, scratch]     # or {assess: {seeds: [0]}, lora: {lr: 0.001}, ...}: own seeds, settings
seeds: [0, 1]
settings: {steps: 1000, max_length: 128}       # of all cells; the rest is the papers' protocol unless protocol: false
axes: {rank: [8, 32], train_size: [100, null]}  # any setting, crossed with all the others
variants: {snli_premise: {source: snli, text: premise}}  # a task that is read in another way
data: ../data                                   # folder of published tasks
max_texts: 2000                                 # of each part
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod
from pathlib import Path
from typing import Annotated, Any

from tokenworth.adaptation.route_names import ROUTES
from tokenworth.adaptation.route_settings import relevant_settings
from tokenworth.backbones.model_names import model_name
from tokenworth.endpoints.endpoint_settings import DEFAULTS, is_endpoint
from tokenworth.errors import SettingError
from tokenworth.settings import AsName, Count, FolderName, Names, Seed, quoted

ASSESS = "assess"
"""The route that only looks: one assessment."""
COUNT = "count"
"""The route that only counts parameters: whole, and of adapters; needs no texts and no weights."""
AS_PUBLISHED = "published"
"""The route that only looks, by the published code's own protocol."""
PROMPT = "prompt"
"""The route for a model on a server."""
_OF_A_PASS = frozenset({"pooling", "max_length", "dtype"})
_OWN_SETTINGS = {ASSESS: _OF_A_PASS | {"states", "long"}, AS_PUBLISHED: _OF_A_PASS, COUNT: frozenset({"rank"})}


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of a study."""

    backbone: str | None
    """None for routes without one."""
    task: str
    """Empty for routes without texts."""
    route: str
    """assess, published, count, or a route of `adapt`."""
    seed: int
    """Of everything random in it."""
    settings: dict[str, Any] = field(hash=False)
    """Those that were given and matter to the route."""

    def __str__(self) -> str:
        """For people: task, backbone, route, seed and what is special."""
        special = "".join(f" {name}={value}" for name, value in sorted(self.settings.items()))
        model = f" {model_name(self.backbone)}" if self.backbone else ""
        return f"{Path(self.task).name}{model} {self.route} seed {self.seed}{special}".strip()


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """What a study file says."""

    name: Annotated[str, AsName(), FolderName()]
    """Of its folder, too."""
    routes: Names
    """assess, published, count, bow, prompt, probe, lora, full, contrastive, scratch; or each with settings of its own
    below it."""
    tasks: Names = ()
    """Files, folders, hub ids or published names."""
    backbones: Names = ()
    """Folders, hub ids or published names; endpoint:NAME for the route prompt, with url among the settings."""
    seeds: tuple[Seed, ...] = (0,)
    """Every cell is run once with each."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Of all cells, as of a file of route settings."""
    axes: dict[str, list[Any]] = field(default_factory=dict)
    """Settings with the values to try, each crossed with all the others."""
    of_route: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Settings of single routes, which go before those of all; "seeds" among them."""
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Tasks that are read from a source in another way: arguments of `load_task` with their source."""
    data: str | None = None
    """Folder with local copies of published tasks, by name."""
    max_texts: Count | None = None
    """Sample so many texts of each part, by class."""

    def size(self) -> int:
        """Cells at most, counted without making them."""
        points = prod(len(values) for values in self.axes.values() if isinstance(values, list))
        places = len(self.tasks or " ") * len(self.routes) * len(self.backbones or " ")
        return places * points * max(1, *(len(self._seeds(route)) for route in self.routes))

    def cells(self) -> list[Cell]:
        """Every cell once, in the order of the file; what does not matter to a route makes no further cells."""
        seen: dict[str, Cell] = {}
        seeds = sorted({seed for route in self.routes for seed in self._seeds(route)})
        for seed, task, route, backbone in product(seeds, self.tasks or ("",), self.routes, self.backbones or (None,)):
            if is_endpoint(backbone) and route != PROMPT and needs_backbone(route):
                continue  # nothing else can be done without its weights
            for settings in self._settings(route, backbone) if seed in self._seeds(route) else ():
                model, texts = backbone if needs_backbone(route) else None, "" if route == COUNT else task
                cell = Cell(model, texts, route, seed, settings)
                seen.setdefault(str((model, task, route, seed, sorted(settings.items(), key=str))), cell)
        return list(seen.values())

    def only(self, names: Iterable[str]) -> Study:
        """The part of it with some tasks, backbones or routes, named as in the file or by the last part of a path.

        Raises SettingError: a name that the study has not.
        """
        wanted = list(names)
        for name in wanted:
            if not any(_is_called(value, name) for value in (*self.tasks, *self.backbones, *self.routes)):
                raise SettingError(f"the study {self.name} has no task, backbone or route {quoted(name)}")
        parts = {"tasks": self.tasks, "backbones": self.backbones, "routes": self.routes}
        narrowed = {
            part: tuple(value for value in values if any(_is_called(value, name) for name in wanted)) or values
            for part, values in parts.items()
        }
        return replace(self, **narrowed)  # type: ignore[arg-type]

    def _seeds(self, route: str) -> tuple[int, ...]:
        return tuple(self.of_route.get(route, {}).get("seeds", self.seeds))

    def _settings(self, route: str, backbone: str | None) -> Iterator[dict[str, Any]]:
        matter = _OWN_SETTINGS[route] if route in _OWN_SETTINGS else relevant_settings(route)
        matter = matter if is_endpoint(backbone) else matter - set(DEFAULTS)
        stated = {**self.settings, **self.of_route.get(route, {})}
        fixed = {name: value for name, value in stated.items() if name in matter and name != "seeds"}
        axes = {name: values for name, values in self.axes.items() if name in matter}
        for point in product(*axes.values()):
            settings = fixed | dict(zip(axes, point, strict=True))
            yield {name: value for name, value in settings.items() if (name, value) != ("protocol", True)}  # as it is


def needs_backbone(route: str) -> bool:
    """Whether a cell of the route is of a model."""
    return route not in ROUTES or ROUTES[route].of_model


def _is_called(value: str, name: str) -> bool:
    return name in (value, Path(value).name, model_name(value))
