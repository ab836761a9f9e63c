"""Reading a corpus file: every mistake in it is named, all at once, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tokenworth.corpus.corpus_settings import Corpus, Mix, Pack, Source
from tokenworth.corpus.engine.stage import FILLED_IN, Stage, beside
from tokenworth.corpus.filters.decontamination import Decontaminate
from tokenworth.corpus.stages import ON_REQUEST, STAGES
from tokenworth.settings import build, build_each, exists, quoted, read_settings, refusal, unknown_names, with_changes
from tokenworth.settings.validation import with_line

_TOLERANCE = 1e-6


def load_corpus(path: str | Path) -> Corpus:
    """Read and check a corpus file; relative paths in it are seen from its folder.

    Raises:
        SettingError: it cannot be read, or: unknown keys (with the nearest known ones), values of the wrong kind,
            files that are not there, weights that do not sum to one, all of them, a line each.
    """
    place = Path(path)
    home = place.resolve().parent
    values = read_settings(place, "corpus file", "sources: {books: books/*.txt}")
    mistakes: list[str] = []
    sources = _sources(values.get("sources"), home, mistakes)
    mix, in_mix = build(Mix, _section(values, "mix"), "mix has", where="mix: ")
    parts: dict[str, Any] = {
        "sources": tuple(source.placed(home) for source in sources),
        "stages": tuple(stage.placed(home) for stage in _stages(values.get("stages"), mistakes)),
        "mix": mix,
    }
    mistakes += with_line(values, "mix", in_mix)
    whole = with_changes(values, {} if "name" in values else {"name": place.stem})
    corpus, in_whole = build(Corpus, whole, "a corpus has", **parts)
    mistakes += in_whole
    if isinstance(values.get("sources"), Mapping) and len(sources) == len(values["sources"]):
        mistakes += _mix_mistakes(sources, mix)  # shares of a part of them say nothing
    if corpus is None or mistakes:
        raise refusal(place, mistakes)
    return replace(corpus, pack=_placed_pack(corpus.pack, home))


def _section(values: Mapping[str, Any], name: str) -> Any:
    return {} if values.get(name) is None else values[name]


def _sources(sections: Any, home: Path, mistakes: list[str]) -> list[Source]:
    if not isinstance(sections, Mapping) or not sections:
        mistakes.append("a corpus needs sources; write 'sources: {name: {path: file}}'")
        return []
    sources = build_each(Source, sections, "source", mistakes, name=str)
    for name, source in sources.items():
        mistakes += with_line(sections, name, _source_mistakes(source, home))
    return [*sources.values()]


def _source_mistakes(source: Source, home: Path) -> Iterator[str]:
    what = f"source {source.name}"
    if source.has_files and "*" not in source.path and not exists(home / source.path):
        yield f"{what}: there is no {home / source.path}" if source.path else f"{what} needs a path"
    for name in source.skip:
        if name not in STAGES:
            yield f"{what}: skip names no stage {quoted(name)}; there are {', '.join(STAGES)}"


def _stages(sections: Any, mistakes: list[str]) -> list[Stage]:
    """A list of names, or names with their settings; without any, all that need no settings."""
    if sections is None:
        return [stage() for name, stage in STAGES.items() if name not in ON_REQUEST]
    if isinstance(sections, list) and all(isinstance(name, str) for name in sections):
        sections = dict.fromkeys(sections)
    if not isinstance(sections, Mapping):
        mistakes.append(f"stages must be a list of names, or names with their settings, not {quoted(sections)}")
        return []
    mistakes += unknown_names(sections, STAGES, "stages: a corpus has")
    stages: list[Stage] = []
    for name in (name for name in sections if name in STAGES):
        what, lines = f"stage {name}", _section(sections, name)
        stage, inner = build(STAGES[name], lines, f"{what} has", where=f"{what}: ", hidden=FILLED_IN)
        mistakes += with_line(sections, name, inner)
        stages += [] if stage is None else [stage]
    if any(isinstance(stage, Decontaminate) and not stage.tasks for stage in stages):
        mistakes.append("stage decontaminate needs tasks; write 'tasks: [...]'")
    return stages


def _placed_pack(pack: Pack | None, home: Path) -> Pack | None:
    """Its tokenizer's settings are looked at where tokenizers are made."""
    if pack is None or not isinstance(pack.tokenizer, str):
        return pack
    return replace(pack, tokenizer=beside(home, pack.tokenizer))


def _mix_mistakes(sources: Sequence[Source], mix: Mix | None) -> Iterator[str]:
    yield from _weight_mistakes({source.name: source.weight for source in sources}, "weights")
    yield from _weight_mistakes({source.name: source.annealing_weight for source in sources}, "annealing weights")
    if mix is None:
        return
    if mix.least_variety is not None and sources and all(source.synthetic for source in sources):
        yield "mix: least_variety compares synthetic sources with real ones, and there is none; mark what people wrote"
    share = sum(source.weight or 0 for source in sources if source.synthetic)
    if mix.max_synthetic is not None and share > mix.max_synthetic + _TOLERANCE:
        yield f"synthetic sources have weights of {share:g} together, and max_synthetic allows {mix.max_synthetic:g}"


def _weight_mistakes(weights: Mapping[str, float | None], what: str) -> Iterator[str]:
    stated = {name: weight for name, weight in weights.items() if weight is not None}
    total = sum(stated.values())
    if stated and len(stated) < len(weights):
        lacking = ", ".join(name for name in weights if name not in stated)
        yield f"some sources have {what} and {lacking} none; give all of them one, or none"
    elif stated and abs(total - 1) > _TOLERANCE:
        shares = ", ".join(f"{name} {weight / total:.4g}" for name, weight in stated.items() if total)
        yield f"the {what} of the sources sum to {total:.6g}, not to 1; scaled they would be {shares}"
