"""What a folder's run was started with, so that it goes on only as what it began."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenworth.base.atomic_files import write_text, writing
from tokenworth.errors import SettingError


class OtherRunError(SettingError):
    """What lies in the folder was begun as another run, and cannot be gone on with as this one."""


def recorded_dtype(path: Path, wished: str) -> str | None:
    """The number format a begun run is gone on with: its own, where another is not asked for expressly; else None.

    What `auto` stands for depends on the machine, and a machine may decide anew; a run keeps to what it began with.
    """
    try:
        before = json.loads(path.read_text(encoding="utf-8")).get("dtype")
    except (OSError, ValueError, AttributeError):
        return None  # nothing is begun, or what is there is not read either by `note_or_compare`
    return before if isinstance(before, str) and wished in ("auto", before) else None


def note_or_compare(path: Path, facts: Mapping[str, Any]) -> None:
    """Write the facts of a run, or check that they are those which are written there.

    Raises OtherRunError: another run lies there; the error shows in what they differ.
    """
    before = _read(path) if path.is_file() else {}
    names = sorted({*before, *facts}) if before else []
    differ = (name for name in names if before.get(name) != facts.get(name))
    changed = [f"{name} was {before.get(name)!r} and is {facts.get(name)!r}" for name in differ]
    if changed:
        raise OtherRunError(
            f"{path.parent} holds a run with other settings: {'; '.join(changed)}. Name another folder with --out, "
            "go on with the old settings, or remove the folder"
        )
    with writing(path.parent):
        write_text(path, json.dumps(facts, indent=1, ensure_ascii=False))


def _read(path: Path) -> dict[str, Any]:
    """What is written there; nothing where it was cut short, before anything else was written."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return {}
    except OSError as error:
        raise SettingError(f"{path} cannot be read ({error.strerror}); choose another folder with --out") from error
    return facts if isinstance(facts, dict) else {}
