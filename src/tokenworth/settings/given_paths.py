"""Paths as somebody named them."""

from __future__ import annotations

from pathlib import Path


def as_named(path: Path) -> Path:
    """The absolute path that ends with the name that was given: links are followed in all parts but the last.

    What somebody calls a model in a folder of links is what its results call it.  "." and ".." have no name of their
    own and are resolved.
    """
    return path.resolve() if path.name in ("", "..") else path.parent.resolve() / path.name
