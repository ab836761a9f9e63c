"""Reading a corpus file: every mistake in it is named, all at once, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from tokenworth.corpus.config import KINDS, PARTS, Corpus, Mix, Pack, Source
from tokenworth.corpus.making import made, unknown
from tokenworth.corpus.stages import ON_REQUEST, STAGES
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
    problems = list(unknown("a corpus", found, {one.name for one in fields(Corpus)}))
    sources = _sources(found.get("sources"), place.resolve().parent, problems)
    stages = _stages(found.get("stages"), place.resolve().parent, problems)
    mix = made(Mix, "mix", found.get("mix") or {}, problems)
    pack = _pack(found["pack"], place.resolve().parent, problems) if "pack" in found else None
    rest = {name: found[name] for name in found.keys() - {"sources", "stages", "mix", "pack"}}
    corpus = made(
        Corpus, "a corpus", {"name": place.stem, **rest}, problems, sources=sources, stages=stages, mix=mix or Mix(),
        pack=pack,
    )  # fmt: skip
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


def _sources(found: Any, home: Path, problems: list[str]) -> tuple[Source, ...]:
    if not isinstance(found, Mapping) or not found:
        problems.append("a corpus needs sources; write 'sources: {name: {path: file}}'")
        return ()
    sources = []
    for name, own in found.items():
        given = {"path": own} if isinstance(own, str) else own
        source = made(Source, f"source {name}", given, problems, name=str(name))
        if source is not None:
            problems += _source_problems(source, home)
            sources.append(_placed(source, home))
    return tuple(sources)


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
    if source.annealing_weight is not None and not 0 <= source.annealing_weight <= 1:
        yield f"{what}: annealing_weight must lie in [0, 1], not {source.annealing_weight:g}"
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
        return tuple(stage() for name, stage in STAGES.items() if name not in ON_REQUEST)
    if isinstance(found, list):
        found = dict.fromkeys(one if isinstance(one, str) else str(one) for one in found)
    if not isinstance(found, Mapping):
        problems.append(f"stages must be a list of names, or names with their settings, not {found!r}")
        return ()
    problems += [f"stages: {one}" for one in unknown("a corpus", found, set(STAGES))]
    known = {name: own for name, own in found.items() if name in STAGES}
    stages = [made(STAGES[name], f"stage {name}", own or {}, problems) for name, own in known.items()]
    if any(getattr(stage, "tasks", None) == () for stage in stages):
        problems.append("stage decontaminate needs tasks; write 'tasks: [...]'")
    return tuple(_placed_stage(stage, home) for stage in stages if stage is not None)


def _placed_stage(stage: Any, home: Path) -> Any:
    """Tasks, models and recognisers that lie beside the corpus file by their paths; other names stay as they are."""
    if hasattr(stage, "tasks"):
        return replace(stage, tasks=tuple(beside(home, one) for one in stage.tasks))
    name = next((name for name in ("model", "recogniser") if hasattr(stage, name)), None)
    return stage if name is None else replace(stage, **{name: beside(home, getattr(stage, name))})


def beside(home: Path, name: str) -> str:
    """A path seen from the corpus file's folder where there is such a thing, else the name; `@random` may follow."""
    base, mark, _ = name.partition("@random")
    return str(home / base) + mark if (home / base).exists() else name


def _pack(found: Any, home: Path, problems: list[str]) -> Pack | None:
    """Its tokenizer's settings are looked at where tokenizers are made."""
    given = {} if found is None else found
    tokenizer = given.get("tokenizer") or {} if isinstance(given, Mapping) else {}
    if not isinstance(tokenizer, str | Mapping):
        problems.append(f"pack: tokenizer must be a folder or settings such as 'kind: bpe', not {tokenizer!r}")
        return None
    rest = {name: given[name] for name in given if name != "tokenizer"} if isinstance(given, Mapping) else given
    where = beside(home, tokenizer) if isinstance(tokenizer, str) else dict(tokenizer)
    pack: Pack | None = made(Pack, "pack", rest, problems, tokenizer=where)
    if pack is not None and not 0 < pack.held_out_share < 1:
        problems.append(f"pack: held_out_share must lie between 0 and 1, not {pack.held_out_share:g}")
    return pack


def _problems(sources: tuple[Source, ...], mix: Mix | None, corpus: Corpus | None) -> Iterator[str]:
    yield from _weight_problems({source.name: source.weight for source in sources}, "weights")
    yield from _weight_problems({source.name: source.annealing_weight for source in sources}, "annealing weights")
    if mix is not None:
        yield from _mix_problems(sources, mix)
    if corpus is not None:
        for name in ("shard_documents", "shard_mb", "max_document_mb"):
            if getattr(corpus, name) <= 0:
                yield f"{name} must lie above 0, not {getattr(corpus, name)}"


def _weight_problems(weights: Mapping[str, float | None], what: str) -> Iterator[str]:
    given = {name: weight for name, weight in weights.items() if weight is not None}
    total = sum(given.values())
    if given and len(given) < len(weights):
        lacking = ", ".join(name for name in weights if name not in given)
        yield f"some sources have {what} and {lacking} none; give all of them one, or none"
    elif given and abs(total - 1) > _TOLERANCE:
        shares = ", ".join(f"{name} {weight / total:.4g}" for name, weight in given.items() if total)
        yield f"the {what} of the sources sum to {total:.6g}, not to 1; scaled they would be {shares}"


def _mix_problems(sources: tuple[Source, ...], mix: Mix) -> Iterator[str]:
    for name in ("total_mb", "shard_mb"):
        value = getattr(mix, name)
        if value is not None and value <= 0:
            yield f"mix: {name} must lie above 0, not {value:g}"
    if mix.least_variety is not None and not 0 < mix.least_variety <= 1:
        yield f"mix: least_variety is a share of real text's variety, above 0 and up to 1, not {mix.least_variety:g}"
    if mix.least_variety is not None and sources and all(source.synthetic for source in sources):
        yield "mix: least_variety compares synthetic sources with real ones, and there is none; mark what people wrote"
    if not 0 < mix.annealing_share < 1:
        yield f"mix: annealing_share must lie between 0 and 1, not {mix.annealing_share:g}"
    if mix.max_synthetic is None:
        return
    share = sum(source.weight or 0 for source in sources if source.synthetic)
    if share > mix.max_synthetic + _TOLERANCE:
        yield f"synthetic sources have weights of {share:g} together, and max_synthetic allows {mix.max_synthetic:g}"
