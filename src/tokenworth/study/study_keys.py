"""The shape of a study file: its keys, and what kind of value each of them takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tokenworth.settings import Misfit, Section, Seed, check_values, fitting, quoted
from tokenworth.study.grid import COUNT, Study


def check_shape(values: Section, mistakes: list[str]) -> dict[str, Any]:
    """Fields of a Study in their types, the paths in them as they stand in the file; what is wrong is told.

    Routes may be a list, or a mapping to their own settings, of which `seeds` come out as a tuple.
    """
    found = check_values(values, Study, "a study has", mistakes, ready={"routes"}, hidden={"of_route"})
    routes = values.get("routes")
    if isinstance(routes, Mapping):
        found |= {"routes": tuple(routes), "of_route": _own_settings(routes, mistakes)}
    elif routes:
        found |= check_values({"routes": routes}, Study, "a study has", mistakes)
    else:
        mistakes.append("a study needs routes; write 'routes: [...]'")
    if not found.get("tasks") and set(found.get("routes", ())) != {COUNT}:
        mistakes.append("a study needs tasks; write 'tasks: [...]'")
    if found.get("seeds") == ():
        mistakes.append("seeds must be a list of at least one")
    return found


def _own_settings(routes: Mapping[str, Any], mistakes: list[str]) -> dict[str, dict[str, Any]]:
    found = {}
    for route, own in routes.items():
        if isinstance(own, Mapping | None):
            found[route] = dict(own or {}) | dict(_seeds(route, own or {}, mistakes))
        else:
            mistakes.append(f"the route {route} takes settings, such as 'lr: 0.001', not {quoted(own)}")
    return found


def _seeds(route: str, own: Mapping[str, Any], mistakes: list[str]) -> Iterator[tuple[str, Any]]:
    if "seeds" not in own:
        return
    try:
        yield "seeds", fitting(own["seeds"], tuple[Seed, ...])
    except Misfit as misfit:
        mistakes.append(f"seeds of the route {route} {misfit}")
