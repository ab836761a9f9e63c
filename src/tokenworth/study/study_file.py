"""Reading a study file: every mistake in it is named, all at once, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from tokenworth.adaptation.route_names import ROUTES
from tokenworth.adaptation.route_settings import make_config
from tokenworth.base.keywords import known_keywords, line_of
from tokenworth.errors import SettingError
from tokenworth.settings import Seed, exists, quoted, read_settings, refusal, unknown_names, with_changes
from tokenworth.settings.given_paths import as_named
from tokenworth.settings.validation import convert_all, hints_of, with_line
from tokenworth.settings.yaml_file import Section
from tokenworth.study.grid import AS_PUBLISHED, ASSESS, COUNT, Study, needs_backbone

_MOST_CELLS = 100_000
_READING = {"source", "text", "text_pair", "label", "test", "delimiter", "label_columns"}


def shipped_studies() -> list[str]:
    """Names of the studies that come with the package."""
    shipped = files("tokenworth.study") / "shipped"
    return sorted(Path(file.name).stem for file in shipped.iterdir() if file.name.endswith(".yaml"))


@known_keywords
def load_study(path: str | Path, *, data: str | Path | None = None, models: str | Path | None = None) -> Study:
    """Read and check a study file, or one that comes with the package by its name.

    Relative paths in a file are seen from its folder.

    Args:
        path: a file, or one of `shipped_studies`.
        data: folder of published tasks, instead of what the file says.
        models: folder in which backbones that are plain names are looked for.

    Raises:
        SettingError: unknown keys (with the nearest known ones), routes or settings, or values of the wrong kind: all
            of them, a line each.
    """
    place = _file(path)
    values = read_settings(place, "study file", "routes: [assess, bow, lora]")
    mistakes: list[str] = []
    study = _stated_study(with_changes(values, {} if "name" in values else {"name": place.stem}), mistakes)
    mistakes += [*_mistakes(study, values), *_setting_mistakes(values)]
    if mistakes:
        raise refusal(place, mistakes)
    home = place.resolve().parent
    folder = data or (None if study.data is None else home / study.data)
    return replace(
        study,
        tasks=tuple(_placed([home], name) for name in study.tasks),
        backbones=tuple(_placed([home, *([Path(models)] if models else [])], name) for name in study.backbones),
        data=str(folder) if folder else None,
    )


def _file(path: str | Path) -> Path:
    if Path(path).exists() or str(path).endswith((".yaml", ".yml")):
        return Path(path)
    if str(path) not in (known := shipped_studies()):
        sentence = f"there is no study file {path}, and no study of that name comes with the package"
        raise SettingError(f"{sentence} ({', '.join(known)})")
    return Path(str(files("tokenworth.study") / "shipped" / f"{path}.yaml"))


def _stated_study(values: Mapping[str, Any], mistakes: list[str]) -> Study:
    """As much of it as can be read; routes may be a list, or a mapping to settings of their own."""
    hints = {name: hint for name, hint in hints_of(Study).items() if name != "of_route"}
    mistakes += unknown_names(values, hints, "a study has")
    routes = values.get("routes")
    of_route: dict[str, dict[str, Any]] = {}
    if isinstance(routes, Mapping):
        of_route = {route: _route_settings(route, section, mistakes) for route, section in routes.items()}
        values = with_changes(values, {"routes": list(routes)})
    if not routes:
        mistakes.append("a study needs routes; write 'routes: [...]'")
        del hints["routes"]
    fields = {"routes": ()} | convert_all(values, hints, mistakes)
    if not values.get("tasks") and set(fields["routes"]) != {COUNT}:
        mistakes.append("a study needs tasks; write 'tasks: [...]'")
    if fields.get("seeds") == ():
        mistakes.append("seeds must be a list of at least one")
    return Study(**{"name": "study", **fields, "of_route": of_route})


def _route_settings(route: str, section: Any, mistakes: list[str]) -> dict[str, Any]:
    """Settings of one route; its `seeds` come out as a tuple."""
    section = {} if section is None else section
    if not isinstance(section, Mapping):
        mistakes.append(f"the route {route} takes settings, such as 'lr: 0.001', not {quoted(section)}")
        return {}
    name, settings = f"seeds of the route {route}", dict(section)
    if "seeds" not in settings:
        return settings
    sentences: list[str] = []
    seeds = convert_all({name: settings.pop("seeds")}, {name: tuple[Seed, ...]}, sentences)
    mistakes += with_line(section, "seeds", sentences)
    return settings | ({"seeds": seeds[name]} if seeds else {})


def _placed(places: list[Path], name: str) -> str:
    """A path that lies in one of the places, seen from anywhere; names of the hub and of tasks stay.

    A link is not followed: what somebody calls a model in a folder of models is what it is called in the results.
    """
    base, mark, rest = name.partition("@")
    path = next((place / base for place in places if exists(place / base)), None)
    return f"{as_named(path)}{mark}{rest}" if path is not None else name


def _mistakes(study: Study, values: Section) -> Iterator[str]:
    in_routes = line_of(values, "routes")
    for route in study.routes:
        if route not in (known := (ASSESS, AS_PUBLISHED, COUNT, *ROUTES)):
            yield f"{in_routes}route {quoted(route)} is not understood; choose from {', '.join(known)}"
        elif needs_backbone(route) and not study.backbones:
            yield f"{in_routes}the route {route} needs backbones; write 'backbones: [...]'"
    for name, how in study.variants.items():
        if not isinstance(how, dict) or not how.keys() <= _READING or not all(isinstance(v, str) for v in how.values()):
            line = line_of(values["variants"], name)
            yield f"{line}the variant {name} may say {', '.join(sorted(_READING))}, not {quoted(how)}"
    for name, points in study.axes.items():
        if not isinstance(points, list) or not points:
            yield f"{line_of(values['axes'], name)}the axis {name} must be a list of values, not {quoted(points)}"
    if study.routes and study.size() > _MOST_CELLS:
        yield f"the study has {study.size():,} cells, and {_MOST_CELLS:,} are the most one can have; make several of it"


def _setting_mistakes(values: Mapping[str, Any]) -> Iterator[str]:
    """Of every value once, wherever it stands, with its line."""
    routes = values.get("routes")
    sections = [values.get("settings"), *(routes.values() if isinstance(routes, Mapping) else [])]
    for section in (section for section in sections if isinstance(section, Section)):
        yield from _refused(section.but("seeds") if section is not values.get("settings") else section)
    axes = values["axes"] if isinstance(values.get("axes"), Section) else Section()
    for name, points in axes.items():
        for point in points if isinstance(points, list) else ():
            yield from _refused(Section({name: point}, lines=axes.lines))


def _refused(section: Section) -> Iterator[str]:
    for name in section:
        try:
            make_config(Section({name: section[name]}, lines=section.lines))
        except SettingError as error:  # noqa: PERF203 - every mistake is told
            yield from error.mistakes
