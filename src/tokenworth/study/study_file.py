"""Reading a study file: every mistake in it is named, all at once, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from tokenworth.adaptation.route_settings import ROUTES, make_config
from tokenworth.errors import SettingError
from tokenworth.settings import exists, quoted, read_settings, refusal, with_changes
from tokenworth.study.grid import AS_PUBLISHED, ASSESS, COUNT, WITHOUT_BACKBONE, Study
from tokenworth.study.study_keys import check_shape

_MOST_CELLS = 100_000
_READING = {"source", "text", "text_pair", "label", "test"}


def shipped_studies() -> list[str]:
    """Names of the studies that come with the package."""
    found = files("tokenworth.study") / "shipped"
    return sorted(Path(one.name).stem for one in found.iterdir() if one.name.endswith(".yaml"))


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
    found = check_shape(with_changes(values, {} if "name" in values else {"name": place.stem}), mistakes)
    if mistakes:
        raise refusal(place, mistakes)
    study = _placed_study(found, place.resolve().parent, data, models)
    if mistakes := [*_mistakes(study)]:
        raise refusal(place, mistakes)
    return study


def _file(path: str | Path) -> Path:
    if not Path(path).exists() and str(path) in shipped_studies():
        return Path(str(files("tokenworth.study") / "shipped" / f"{path}.yaml"))
    if not Path(path).exists() and not str(path).endswith((".yaml", ".yml")):
        known = ", ".join(shipped_studies())
        raise SettingError(f"there is no study file {path}, and no study of that name comes with the package ({known})")
    return Path(path)


def _placed_study(found: dict[str, Any], home: Path, data: str | Path | None, models: str | Path | None) -> Study:
    places = [home, *([Path(models)] if models else [])]
    stated = home / found["data"] if found.get("data") is not None else None
    placed = {
        "tasks": tuple(_placed([home], name) for name in found.get("tasks", ())),
        "backbones": tuple(_placed(places, name) for name in found.get("backbones", ())),
        "data": str(data or stated) if data or stated else None,
    }
    return Study(**{**found, **placed})


def _placed(places: list[Path], name: str) -> str:
    """A path that lies in one of the places, seen from anywhere; names of the hub and of tasks stay."""
    base, mark, rest = name.partition("@")
    found = next((place / base for place in places if exists(place / base)), None)
    return f"{found.resolve()}{mark}{rest}" if found is not None else name


def _mistakes(study: Study) -> Iterator[str]:
    for route in study.routes:
        if route not in (known := (ASSESS, AS_PUBLISHED, COUNT, *ROUTES)):
            yield f"route {quoted(route)} is not understood; choose from {', '.join(known)}"
        elif route not in WITHOUT_BACKBONE and not study.backbones:
            yield f"the route {route} needs backbones; write 'backbones: [...]'"
    for name, how in study.variants.items():
        if not isinstance(how, dict) or not how.keys() <= _READING or not all(isinstance(v, str) for v in how.values()):
            yield f"the variant {name} may say {', '.join(sorted(_READING))}, not {quoted(how)}"
    for name, values in study.axes.items():
        if not isinstance(values, list) or not values:
            yield f"the axis {name} must be a list of values, not {quoted(values)}"
    if study.size() > _MOST_CELLS:
        yield f"the study has {study.size():,} cells, and {_MOST_CELLS:,} are the most one can have; make several of it"
    yield from _setting_mistakes(study)


def _setting_mistakes(study: Study) -> Iterator[str]:
    """Of every value once, wherever it stands."""
    owns = [study.settings, *({k: v for k, v in own.items() if k != "seeds"} for own in study.of_route.values())]
    points = [(name, value) for name, values in study.axes.items() if isinstance(values, list) for value in values]
    for name, value in [*(pair for own in owns for pair in own.items()), *points]:
        try:
            make_config({name: value})
        except SettingError as error:  # noqa: PERF203 - every mistake is told
            yield from error.mistakes
