"""Which model somebody may have meant whose name finds none."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from tokenworth.backbones.catalog import PUBLISHED
from tokenworth.backbones.package_models import PACKAGED

_ALIKE = 0.7
"""Of two names of a dozen letters, two or three may differ."""
_MOST = 500


def similar_name(name: str) -> str | None:
    """The name most like it: of a folder beside it, of the hub's cache, of a package or of the papers' backbones."""
    known: dict[str, str] = {}
    for other in _known(name):
        known.setdefault(other.lower(), other)
    near = get_close_matches(name.lower(), known, n=1, cutoff=_ALIKE)
    return known[near[0]] if near else None


def _known(name: str) -> Iterator[str]:
    yield from _folders_beside(name)
    yield from PACKAGED
    yield from PUBLISHED
    yield from PUBLISHED.values()
    yield from (model.hub for model in PACKAGED.values())
    yield from _in_cache()


def _folders_beside(name: str) -> Iterator[str]:
    """Folders with a model where the named one would lie, spelt as it is."""
    parent = Path(name).expanduser().parent
    try:
        places = [place for place, _ in zip(sorted(parent.iterdir()), range(_MOST), strict=False)]
        yield from (str(Path(name).with_name(place.name)) for place in places if (place / "config.json").is_file())
    except OSError:
        return


def _in_cache() -> Iterator[str]:
    from huggingface_hub.constants import HF_HUB_CACHE

    try:
        names = [place.name for place in Path(HF_HUB_CACHE).glob("models--*")]
    except OSError:
        return
    yield from (name.removeprefix("models--").replace("--", "/") for name in names)
