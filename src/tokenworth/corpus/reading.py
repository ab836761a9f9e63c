"""Reading a corpus file: every mistake in it is named, all at once, before anything runs."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from tokenworth.corpus.config import KINDS, PARTS, Corpus, Mix, Source
from tokenworth.corpus.stages import STAGES
from tokenworth.errors import SettingError, first_line

_TOLERANCE = 1e-6


def load_corpus(path: str | Path) -> Corpus:
    """Read and check a corpus file; relative paths in it are seen from its folder.

    Raises:
        SettingError: it cannot be read, or: unknown keys (with the nearest known ones), values of the wrong kind,
            files that are not there, weights that do not sum to one, all of them, a line each.
    """
    place = Path(path)
    found = _mapping(place)
    problems = list(_unknown("a corpus", found, {one.name for one in fields(Corpus)}))
    sources = _sources(found.get("sources"), place.resolve().parent, problems)
    stages = _stages(found.get("stages"), place.resolve().parent, problems)
    mix = _made(Mix, "mix", found.get("mix") or {}, problems)
    rest = {name: found[name] for name in found.keys() - {"sources", "stages", "mix"}}
    corpus = _made(
        Corpus, "a corpus", {"name": place.stem, **rest}, problems, sources=sources, stages=stages, mix=mix or Mix()
    )
    problems += _problems(sources, mix, corpus)
    if problems:
        raise _refused(place, list(dict.fromkeys(problems)))
    assert isinstance(corpus, Corpus)
    return corpus


def _mapping(path: Path) -> dict[str, Any]:
    """Read here because the run files' reader comes with libraries that take seconds to load."""
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingError(f"the corpus file {path} cannot be read as YAML ({first_line(error)})") from error
    if not isinstance(found, dict):
        raise SettingError(f"the corpus file {path} must hold 'sources: ...', not {type(found).__name__}")
    return found


def _refused(path: Path, problems: list[str]) -> SettingError:
    if len(problems) == 1:
        return SettingError(f"{path}: {problems[0]}")
    return SettingError(f"{path} has {len(problems)} mistakes:\n  " + "\n  ".join(problems))


def _unknown(what: str, found: Mapping[Any, Any], known: set[str]) -> Iterator[str]:
    for name in found:
        if name not in known:
            near = get_close_matches(str(name), known, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known)) or 'none'}"
            yield f"{what} has no key {name!r}; {hint}"


def _made(kind: type[Any], what: str, found: Any, problems: list[str], **ready: Any) -> Any:
    """An object of a settings class, or None where a problem was found; values in the type that is asked for."""
    if not isinstance(found, Mapping):
        problems.append(f"{what} takes lines such as 'key: value', not {found!r}")
        return None
    hints = get_type_hints(kind)
    own = [one for one in fields(kind) if one.name not in {*ready, "index"}]
    known = {one.name for one in own}
    wrong = list(_unknown(what, found, known | set(ready)))
    values = {}
    for name in found.keys() & known:
        try:
            values[name] = _fitting(found[name], hints[name])
        except ValueError as error:  # noqa: PERF203 - every mistake is told, not the first
            wrong.append(f"{what}: {name} must be {error}, not {found[name]!r}")
    needed = {one.name for one in own if one.default is MISSING and one.default_factory is MISSING}
    wrong += [f"{what} needs {name!r}" for name in sorted(needed - found.keys())]
    problems += wrong
    if wrong:
        return None
    try:
        return kind(**values, **ready)
    except SettingError as error:
        problems.append(str(error))
        return None


def _fitting(value: Any, wanted: Any) -> Any:
    """The value if it has the wanted type; a single word stands for a list of one.

    Raises:
        ValueError: what is wanted, in words.
    """
    choices = get_args(wanted) if get_origin(wanted) in (Union, types.UnionType) else (wanted,)
    if value is None and type(None) in choices:
        return None
    (kind,) = [one for one in choices if one is not type(None)]
    if get_origin(kind) is tuple:
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
            raise ValueError("a list of words")
        return tuple(values)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    raise ValueError({float: "a number", int: "a whole number", bool: "true or false", str: "text"}[kind])


def _sources(found: Any, home: Path, problems: list[str]) -> tuple[Source, ...]:
    if not isinstance(found, Mapping) or not found:
        problems.append("a corpus needs sources; write 'sources: {name: {path: file}}'")
        return ()
    made = []
    for name, own in found.items():
        given = {"path": own} if isinstance(own, str) else own
        source = _made(Source, f"source {name}", given, problems, name=str(name))
        if source is not None:
            problems += _source_problems(source, home)
            made.append(_placed(source, home))
    return tuple(made)


def _placed(source: Source, home: Path) -> Source:
    return source if source.kind in ("docstrings", "hub") else replace(source, path=str(home / source.path))


def _source_problems(source: Source, home: Path) -> Iterator[str]:
    what = f"source {source.name}"
    if source.kind is not None and source.kind not in KINDS:
        yield f"{what}: kind {source.kind!r} is not known; choose from {', '.join(KINDS)}"
    if source.documents not in PARTS:
        yield f"{what}: documents {source.documents!r} is not known; choose from {', '.join(PARTS)}"
    if source.kind not in ("docstrings", "hub") and "*" not in source.path and not (home / source.path).exists():
        yield f"{what}: there is no {home / source.path}" if source.path else f"{what} needs a path"
    if source.weight is not None and not 0 < source.weight <= 1:
        yield f"{what}: weight must lie above 0 and up to 1, not {source.weight:g}"
    if source.repeats <= 0:
        yield f"{what}: repeats must lie above 0, not {source.repeats:g}"
    yield from (
        f"{what}: skip names no stage {name!r}; there are {', '.join(STAGES)}"
        for name in source.skip
        if name not in STAGES
    )


def _stages(found: Any, home: Path, problems: list[str]) -> tuple[Any, ...]:
    """A list of names, or names with their settings; without any, all that need no settings."""
    if found is None:
        return tuple(stage() for name, stage in STAGES.items() if name != "decontaminate")
    if isinstance(found, list):
        found = dict.fromkeys(one if isinstance(one, str) else str(one) for one in found)
    if not isinstance(found, Mapping):
        problems.append(f"stages must be a list of names, or names with their settings, not {found!r}")
        return ()
    problems += [f"stages: {one}" for one in _unknown("a corpus", found, set(STAGES))]
    known = {name: own for name, own in found.items() if name in STAGES}
    made = [_made(STAGES[name], f"stage {name}", own or {}, problems) for name, own in known.items()]
    if any(getattr(stage, "tasks", None) == () for stage in made):
        problems.append("stage decontaminate needs tasks; write 'tasks: [...]'")
    return tuple(_with_tasks(stage, home) for stage in made if stage is not None)


def _with_tasks(stage: Any, home: Path) -> Any:
    """Tasks that lie beside the corpus file by their paths; other names are those of `load_task`."""
    if not hasattr(stage, "tasks"):
        return stage
    return replace(stage, tasks=tuple(str(home / one) if (home / one).exists() else one for one in stage.tasks))


def _problems(sources: tuple[Source, ...], mix: Mix | None, corpus: Corpus | None) -> Iterator[str]:
    weights = [source.weight for source in sources]
    given = [weight for weight in weights if weight is not None]
    if given and len(given) < len(weights):
        lacking = ", ".join(source.name for source in sources if source.weight is None)
        yield f"some sources have weights and {lacking} none; give all of them one, or none"
    elif given and abs(sum(given) - 1) > _TOLERANCE:
        shares = ", ".join(f"{source.name} {source.weight / sum(given):.4g}" for source in sources if source.weight)
        yield f"the weights of the sources sum to {sum(given):.6g}, not to 1; scaled they would be {shares}"
    if mix is not None:
        yield from _mix_problems(sources, mix)
    if corpus is not None:
        for name in ("shard_documents", "shard_mb", "max_document_mb"):
            if getattr(corpus, name) <= 0:
                yield f"{name} must lie above 0, not {getattr(corpus, name)}"


def _mix_problems(sources: tuple[Source, ...], mix: Mix) -> Iterator[str]:
    for name in ("total_mb", "shard_mb"):
        value = getattr(mix, name)
        if value is not None and value <= 0:
            yield f"mix: {name} must lie above 0, not {value:g}"
    if mix.max_synthetic is None:
        return
    share = sum(source.weight or 0 for source in sources if source.synthetic)
    if share > mix.max_synthetic + _TOLERANCE:
        yield f"synthetic sources have weights of {share:g} together, and max_synthetic allows {mix.max_synthetic:g}"
