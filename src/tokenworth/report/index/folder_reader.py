"""Every result below a folder: the folder is walked, what is new or has changed is read, the rest is remembered."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from tokenworth.base.schema import TEXT, Maybe, mistake_in
from tokenworth.errors import SettingError, TokenworthError
from tokenworth.report.displayed_values import clean
from tokenworth.report.index.index_entry import BOW, F1, MAJORITY, Described, Entry, Fault, Reference
from tokenworth.report.index.labelled_results import titled
from tokenworth.report.index.result_kinds import ResultKind, result_kinds, stated_parts
from tokenworth.report.index.study_results import StudyFolder, study_entry

_PASSED_OVER = frozenset({"node_modules", "__pycache__", "site-packages"})
_PARTS = {"trace.json": "work", "mixture.json": "round-", "result.json": "tuning", "run.json": "tuning"}
"""By file of a result: the beginning of a folder beside it that holds parts of it and no results of their own."""
_RESULT, _RUN = "result.json", "run.json"
_BEGUN = {"route": TEXT, "model": Maybe(TEXT), "task": TEXT}

Signature = tuple[int, int, str]
"""Bytes of a file, when it was written in nanoseconds, and its page."""


@dataclass(frozen=True, slots=True)
class ResultIndex:
    """What lies below a folder."""

    root: Path
    entries: tuple[Entry, ...]
    """The one written last first."""
    faults: tuple[Fault, ...]
    """Files by the name of a result that hold none that can be used."""
    made: float
    """When the folder was read, in seconds since 1970."""

    def entry(self, file: str) -> Entry:
        """The entry of a file."""
        return next(entry for entry in self.entries if entry.file == file)


@dataclass(slots=True)
class _Walk:
    """What one walk over the folder found."""

    files: dict[str, tuple[ResultKind, Signature]] = field(default_factory=dict)
    studies: dict[str, StudyFolder] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


class FolderReader:
    """Reads a folder again and again; a file that is as it was is not read a second time.

    Raises:
        SettingError: there is no such folder.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise SettingError(f"{root} is no folder; give one that holds results, such as out")
        self._read: dict[str, tuple[Signature, Entry | Fault | None]] = {}
        self._seen: Any = None

    def read(self) -> ResultIndex:
        """Everything that lies below the folder now."""
        walk = self._walk()
        self._read = {file: self._entry(file, *found) for file, found in walk.files.items()}
        self._seen = _state(walk)
        contents = [content for _, content in self._read.values()]
        entries = [each for each in contents if isinstance(each, Entry)]
        entries = _with_parts(entries, walk)
        for place, study in walk.studies.items():
            entries.append(study_entry(study, [each for each in entries if each.part_of == place]))
        faults = [*walk.faults, *(each for each in contents if isinstance(each, Fault))]
        ordered = sorted(_with_references(entries), key=lambda entry: (-entry.changed, entry.file))
        return ResultIndex(self.root, tuple(ordered), tuple(sorted(faults, key=lambda fault: fault.file)), time.time())

    def has_changed(self) -> bool:
        """Whether a result or a page has come, gone or changed since it was read."""
        return _state(self._walk()) != self._seen

    def _entry(self, file: str, kind: ResultKind, signature: Signature) -> tuple[Signature, Entry | Fault | None]:
        known = self._read.get(file)
        if known is not None and known[0] == signature:
            return known
        path = self.root / file
        try:
            content = _begun(path) if kind.file == _RUN else None
            content = kind.read(path) if content is None else content
        except FileNotFoundError:  # it went while the folder was read
            return signature, None
        except (TokenworthError, OSError) as error:
            return signature, Fault(file, _sentence(str(error), path, file))
        name = "run" if kind.file == _RUN and content.route != "pretraining" else kind.name
        return signature, Entry(name, file, signature[2], signature[1] / 1e9, content)

    def _walk(self) -> _Walk:
        walk, kinds = _Walk(), result_kinds()
        if not self.root.is_dir():
            raise TokenworthError(
                f"{self.root} has gone while it was watched; name the folder where the results lie now"
            )

        def refused(error: OSError) -> None:
            place = _posix(os.path.relpath(error.filename, self.root))
            walk.faults.append(Fault(place, f"{place} cannot be looked into ({error.strerror})"))

        for top, folders, files in os.walk(self.root, onerror=refused):
            folders[:] = sorted(name for name in folders if name not in _PASSED_OVER and not name.startswith("."))
            place = _posix(os.path.relpath(top, self.root))
            names = set(files)
            for name in sorted(names & kinds.keys()):
                if name == _RUN and _RESULT in names:
                    continue  # what a finished run was begun with
                self._note(walk, place, kinds[name], names)
            _note_cell(walk, place, names)
        for place, study in walk.studies.items():
            study.page = _below(place, "report.html") if (self.root / place / "report.html").is_file() else ""
            with suppress(OSError):  # gone in the meantime
                study.changed = (self.root / place / "cells").stat().st_mtime
        return walk

    def _note(self, walk: _Walk, place: str, kind: ResultKind, names: set[str]) -> None:
        file = _below(place, kind.file)
        try:
            facts = (self.root / file).stat()
        except OSError:
            return  # gone, or a link to nothing
        if not (self.root / file).is_file():
            walk.faults.append(Fault(file, f"{file} is no file, so it holds no {kind.holds}"))
            return
        page = next((_below(place, name) for name in kind.pages if name in names), "")
        walk.files[file] = kind, (facts.st_size, facts.st_mtime_ns, page)


def _note_cell(walk: _Walk, place: str, names: set[str]) -> None:
    """A folder STUDY/cells/KEY of a study, or its STUDY/cells/KEY/run."""
    from tokenworth.study.cell_results import COUNTED, PUBLISHED, TEXT_LOSS

    parts = PurePosixPath(place).parts
    if "cell.json" in names and parts[-2:-1] == ("cells",):
        root = "/".join(parts[:-2]) or "."
        study = walk.studies.setdefault(root, StudyFolder(root))
        study.cells.add(place)
        if "error.json" in names:
            study.failed.add(place)
        return
    whole = walk.studies.get("/".join(parts[:-3]) or ".") if parts[-1:] == ("run",) else None
    if whole is not None and names & {COUNTED, PUBLISHED, TEXT_LOSS}:
        whole.counted.add("/".join(parts[:-1]))


def _state(walk: _Walk) -> Any:
    studies = {
        place: (study.page, frozenset(study.cells), frozenset(study.failed), frozenset(study.counted))
        for place, study in walk.studies.items()
    }
    return {file: signature for file, (_, signature) in walk.files.items()}, studies, tuple(walk.faults)


def _posix(path: str) -> str:
    return path.replace(os.sep, "/")


def _below(place: str, name: str) -> str:
    return name if place == "." else f"{place}/{name}"


def _sentence(text: str, path: Path, file: str) -> str:
    """With the path that the index shows."""
    return clean(text.replace(str(path), file))


def _begun(path: Path) -> Described | None:
    """A run that was begun and has no result yet; None where the file holds something else."""
    try:
        facts = stated_parts(path.read_text(encoding="utf-8"), {"route", "model", "task", "train_flops_per_token"})
    except (OSError, UnicodeDecodeError):
        return None
    if facts is None or "train_flops_per_token" in facts or mistake_in(facts, _BEGUN) is not None:
        return None
    sentence = "Begun and not finished; the same command goes on with it."
    title, fingerprint = titled(facts["route"], facts["model"]), facts["task"]
    return Described(title=title, sentence=sentence, fingerprint=fingerprint, route=facts["route"], finished=False)


def _with_parts(entries: Sequence[Entry], walk: _Walk) -> list[Entry]:
    """Which of them are parts of another result."""
    holders = {(entry.place, entry.file.rpartition("/")[2]) for entry in entries}
    return [replace(entry, part_of=next(_wholes(entry, holders, walk), "")) for entry in entries]


def _wholes(entry: Entry, holders: set[tuple[str, str]], walk: _Walk) -> Iterator[str]:
    parts = PurePosixPath(entry.place).parts
    for depth in range(len(parts)):
        above, below = "/".join(parts[:depth]) or ".", parts[depth]
        if below == "cells" and above in walk.studies:
            yield above
        if any((above, file) in holders and below.startswith(start) for file, start in _PARTS.items()):
            yield above


def _with_references(entries: Sequence[Entry]) -> list[Entry]:
    """Bag of words and majority class beside results that do not hold them, from others on the same texts."""
    known: dict[tuple[str, str], Reference] = {}
    for entry in entries:
        for reference in entry.content.references if entry.content.fingerprint else ():
            key = (entry.content.fingerprint, reference.name)
            if key not in known or known[key].value < reference.value:
                known[key] = replace(reference, source=entry.place)
    return [_completed(entry, known) for entry in entries]


def _completed(entry: Entry, known: dict[tuple[str, str], Reference]) -> Entry:
    content = entry.content
    if content.headline is None or content.headline.name != F1 or not content.fingerprint:
        return entry
    named = {reference.name: reference for reference in content.headline.references}
    wanted = (MAJORITY,) if content.route == "bow" else (BOW, MAJORITY)
    found = {name: known[content.fingerprint, name] for name in wanted if (content.fingerprint, name) in known}
    references = {name: named.get(name) or found[name] for name in (*wanted, *named) if name in named or name in found}
    headline = replace(content.headline, references=tuple(references.values()))
    return replace(entry, content=replace(content, headline=headline))
