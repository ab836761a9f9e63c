"""Reading a study file: every mistake in it is named, all at once, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

from tokenworth.adaptation.settings import ROUTES, make_config
from tokenworth.errors import SettingError
from tokenworth.study.grid import AS_PUBLISHED, ASSESS, COUNT, WITHOUT_BACKBONE, Study
from tokenworth.study.shape import listed, shape_problems
from tokenworth.training.reading import read_run_file

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
    found: dict[str, Any] = {"name": place.stem, **read_run_file(place)}
    problems = [*shape_problems(found)]
    if problems:
        raise _refused(place, problems)
    study = _built(found, place.resolve().parent, data, models)
    problems = [*_problems(study)]
    if problems:
        raise _refused(place, problems)
    return study


def _file(path: str | Path) -> Path:
    if not Path(path).exists() and str(path) in shipped_studies():
        return Path(str(files("tokenworth.study") / "shipped" / f"{path}.yaml"))
    if not Path(path).exists() and not str(path).endswith((".yaml", ".yml")):
        known = ", ".join(shipped_studies())
        raise SettingError(f"there is no study file {path}, and no study of that name comes with the package ({known})")
    return Path(path)


def _refused(path: Path, problems: list[str]) -> SettingError:
    if len(problems) == 1:
        return SettingError(f"{path}: {problems[0]}")
    return SettingError(f"{path} has {len(problems)} mistakes:\n  " + "\n  ".join(problems))


def _built(found: dict[str, Any], home: Path, data: str | Path | None, models: str | Path | None) -> Study:
    routes, places = found["routes"], [home, *([Path(models)] if models else [])]
    stated = home / found["data"] if found.get("data") is not None else None
    return Study(
        **{
            **found,
            "name": str(found["name"]),
            "tasks": tuple(_placed([home], name) for name in listed(found.get("tasks", ()))),
            "routes": listed(routes) if not isinstance(routes, dict) else tuple(routes),
            "of_route": {route: _own(own) for route, own in routes.items()} if isinstance(routes, dict) else {},
            "backbones": tuple(_placed(places, name) for name in listed(found.get("backbones", ()))),
            "seeds": listed(found.get("seeds", (0,))),
            "data": str(data or stated) if data or stated else None,
        }
    )


def _own(settings: dict[str, Any] | None) -> dict[str, Any]:
    """Of a route, its seeds as a list."""
    given = dict(settings or {})
    return given | ({"seeds": listed(given["seeds"])} if "seeds" in given else {})


def _placed(places: list[Path], name: str) -> str:
    """A path that lies in one of the places, seen from anywhere; names of the hub and of tasks stay."""
    base, mark, rest = str(name).partition("@")
    found = next((place / base for place in places if (place / base).exists()), None)
    return f"{found.resolve()}{mark}{rest}" if found is not None else str(name)


def _problems(study: Study) -> Iterator[str]:
    for route in study.routes:
        if route not in (known := (ASSESS, AS_PUBLISHED, COUNT, *ROUTES)):
            yield f"route {route!r} is not understood; choose from {', '.join(known)}"
        elif route not in WITHOUT_BACKBONE and not study.backbones:
            yield f"the route {route} needs backbones; write 'backbones: [...]'"
    for name, how in study.variants.items():
        if not isinstance(how, dict) or not how.keys() <= _READING or not all(isinstance(v, str) for v in how.values()):
            yield f"the variant {name} may say {', '.join(sorted(_READING))}, not {how!r}"
    for name, values in study.axes.items():
        if not isinstance(values, list) or not values:
            yield f"the axis {name} must be a list of values, not {values!r}"
            return
    yield from dict.fromkeys(_setting_problems(study))


def _setting_problems(study: Study) -> Iterator[str]:
    owns = [study.settings, *({k: v for k, v in own.items() if k != "seeds"} for own in study.of_route.values())]
    points = [dict(zip(study.axes, point, strict=True)) for point in product(*study.axes.values())]
    given = {(name, repr(value)): value for one in (*owns, *points) for name, value in one.items()}
    for (name, _), value in given.items():
        if problem := _refusal(name, value):
            yield problem


def _refusal(name: str, value: Any) -> str | None:
    try:
        make_config({name: value})
    except SettingError as error:
        return str(error)
    return None
