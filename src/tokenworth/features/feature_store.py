"""The feature store: finished and interrupted passes by what went into them, the least recently used removed first."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time
from typing import Any, NamedTuple

from tokenworth.base.locks import is_held, only_writer
from tokenworth.base.machine import cache_folder
from tokenworth.base.processes import Processes
from tokenworth.errors import EncodeError
from tokenworth.features.feature_shard import keeping
from tokenworth.features.stored_pass import Entry, read_manifest
from tokenworth.settings import number_of

SIZE = "TOKENWORTH_CACHE_GB"
_DEFAULT_GB = 20.0
_PART = ".part"


class Kept(NamedTuple):
    """One pass in the store, as a line of a listing."""

    name: str
    backbone: str
    texts: int
    layers: int
    bytes: int
    used: float  # seconds since 1970
    state: str  # finished, interrupted, running or damaged

    @classmethod
    def of(cls, folder: Path) -> Kept:
        """What lies in a folder of the store."""
        manifest: dict[str, Any] = {}
        state = "damaged"
        with suppress(EncodeError):
            manifest, state = read_manifest(folder), "finished"
        if folder.suffix == _PART:
            state = "running" if is_held(folder) else "interrupted"
        files = [path.stat() for path in folder.rglob("*") if path.is_file()]
        return cls(
            name=folder.name,
            backbone=str(manifest.get("backbone", "?")),
            texts=int(manifest.get("n_texts", 0)),
            layers=len(manifest.get("layers", ())),
            bytes=sum(file.st_blocks * 512 if hasattr(file, "st_blocks") else file.st_size for file in files),
            used=max((file.st_mtime for file in files), default=folder.stat().st_mtime),
            state=state,
        )


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of passes that keeps below a size."""

    root: Path
    max_bytes: int

    def find(self, key: str, layers: tuple[int, ...], poolings: tuple[str, ...]) -> Entry | None:
        """A finished pass that holds all of these, or None.

        Raises EncodeError: there is one, but it is damaged; `drop_damaged` removes it.
        """
        for folder in self._finished(key):
            entry = Entry.open(folder)
            if set(layers) <= set(entry.manifest["layers"]) and set(poolings) <= set(entry.manifest["poolings"]):
                entry.check(layers, poolings)
                return entry
        return None

    def drop_damaged(self, key: str) -> None:
        """Remove finished passes under a key that cannot be opened, or hold a file that is not the one written."""
        for folder in self._finished(key):
            try:
                Entry.open(folder).check()
            except EncodeError:  # noqa: PERF203 - a few at most
                shutil.rmtree(folder, ignore_errors=True)

    def _finished(self, key: str) -> list[Path]:
        return [folder for folder in sorted(self.root.glob(f"{key}-*")) if folder.suffix != _PART]

    def part(self, name: str) -> Path:
        """Where the pass of a name is in work."""
        return self.root / (name + _PART)

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """The folder of an unfinished pass, held for this process.

        Raises:
            TokenworthError: another process writes it.
            EncodeError: the store cannot be written.
        """
        part = self.part(name)
        with keeping(self.root):
            part.mkdir(parents=True, exist_ok=True)
        busy = (
            f"another run is passing the same texts through the same model now (in {part}); wait for it and give the "
            "command again, which then uses its features, or go on without them by --no-cache"
        )
        with only_writer(part, busy):
            yield part

    def finish(self, name: str) -> None:
        """Give a pass that is complete its name, and make room for it.  EncodeError: the disk is full."""
        with keeping(self.root):
            self.part(name).rename(self.root / name)
        self.trim(keep=name)

    def kept(self) -> list[Kept]:
        """Everything in the store, the most recently used first."""
        if not self.root.is_dir():
            return []
        return sorted(map(Kept.of, filter(Path.is_dir, self.root.iterdir())), key=lambda entry: -entry.used)

    def trim(self, keep: str = "") -> list[Kept]:
        """Remove the least recently used passes until the rest keeps below the size; running ones and one stay."""
        kept = self.kept()
        total, gone = sum(entry.bytes for entry in kept), []
        for entry in reversed(kept):
            if total > self.max_bytes and entry.state != "running" and entry.name != keep:
                total -= entry.bytes
                gone.append(entry)
        return self._remove(gone)

    def clear(self, *, older_than_days: float = 0.0, now: float | None = None) -> list[Kept]:
        """Remove all passes, or those not used for some days; running ones stay."""
        limit = (time() if now is None else now) - 86_400 * older_than_days
        return self._remove([entry for entry in self.kept() if entry.state != "running" and entry.used <= limit])

    def _remove(self, entries: list[Kept]) -> list[Kept]:
        for entry in entries:
            shutil.rmtree(self.root / entry.name, ignore_errors=True)
        return entries


def default_store(root: str | Path | None = None) -> Store:
    """The store in a folder: by default TOKENWORTH_CACHE, else tokenworth below the user's cache folder.

    Raises SettingError: TOKENWORTH_CACHE_GB is no number.
    """
    max_bytes = int(number_of(SIZE, _DEFAULT_GB, "the size of the cache in GB") * 1e9)
    return Store(Path(root or cache_folder()), max_bytes)


def open_store(cache: str | Path | bool, processes: Processes) -> AbstractContextManager[Store]:
    """The store that a call asks for: a folder, True for the usual place, or False for one that is gone afterwards."""
    if cache is False:
        return temporary_store(processes)
    return nullcontext(default_store(None if cache is True else cache))


@contextmanager
def temporary_store(processes: Processes | None = None) -> Iterator[Store]:
    """A store that is gone afterwards, one for all processes; its size is what the temporary folder has room for."""
    processes = processes or Processes()
    with TemporaryDirectory(prefix="tokenworth-") as place:
        folder = Path(processes.tell(place))
        yield Store(folder, shutil.disk_usage(folder).free)
        processes.wait()
