"""Measurements of this machine, kept in the cache folder: the first process that measures decides for all.

What a measurement decides changes numbers, if only their rounding, so the answer is one of the machine and not of a
process.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from tokenworth.base.cell_store import content_hash
from tokenworth.base.machine import cache_folder

_log = logging.getLogger("tokenworth")


def measurement_file(name: str, facts: Mapping[str, Any]) -> Path:
    """Where a measurement is kept; other facts, as of another machine with the same folder, have another file."""
    return cache_folder() / f"{name}-{content_hash(dict(facts))[:12]}.json"


def keep(record: Mapping[str, Any], place: Path, *, anew: bool, what: str) -> bool:
    """Write a measurement down, whole or not at all; whether one lies there then, which may be another process's.

    Args:
        record: what is kept.
        place: the file.
        anew: in the place of one that is there.
        what: was decided, for the warning where the folder cannot be written.
    """
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        written = place.with_name(f".{place.name}.{uuid4().hex}")
        try:
            written.write_text(json.dumps(record, indent=1), encoding="utf-8")
            _publish(written, place, anew=anew)
        finally:
            written.unlink(missing_ok=True)
    except OSError as error:
        _log.warning(
            "%s cannot be kept in %s (%s), so every process measures it anew; set TOKENWORTH_CACHE to a folder that "
            "can be written",
            what,
            place.parent,
            error.strerror,
        )
        return False
    return True


def _publish(written: Path, place: Path, *, anew: bool) -> None:
    """Give a whole file its name; the first one stays unless it is decided anew."""
    try:
        if not anew:
            place.hardlink_to(written)  # unlike a rename it fails where another process was first
            return
    except FileExistsError:
        return
    except OSError:  # a file system without links
        anew = not place.exists()
    if anew:
        written.replace(place)
