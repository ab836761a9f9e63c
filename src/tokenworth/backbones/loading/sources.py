"""From a name to a folder of files: local folders as they are, hub ids through the hub's cache."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tokenworth.backbones.catalog import PUBLISHED
from tokenworth.backbones.loading.configuration_check import read_stated
from tokenworth.backbones.loading.gguf_file import SUFFIX
from tokenworth.backbones.loading.gguf_header import is_part
from tokenworth.backbones.loading.similar_names import similar_name
from tokenworth.backbones.package_models import PACKAGED
from tokenworth.errors import BackboneError, SettingError

TOKENIZER_PATTERNS = (
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "*.model",
    "*.tiktoken",
    "tekken.json",
)
"""What a tokenizer may consist of; nothing among it is ever executed."""

_LONGEST_PATH = 4096
ADAPTER = "adapter_config.json"
ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
SETTINGS = ("config.json", ADAPTER)
WEIGHTS = ("model.safetensors", "model-*.safetensors", "model.safetensors.index.json")
"""A model's own; an adapter's are named otherwise."""

_BRING = "a folder with config.json, model.safetensors and tokenizer.json"
_OR_FILE = f"{_BRING}, or a .gguf file"


@dataclass(frozen=True)
class Source:
    """Where a model's files lie, or those of an adapter and its base."""

    name: str
    """The name without ``@random``, as the user gave it."""
    folder: Path
    hub_id: str | None = None
    revision: str | None = None
    base: Source | None = None
    """Where the folder holds an adapter: the model it adapts."""
    gguf: Path | None = None
    """Where one file holds configuration, tokenizer and weights: that file.  What lies beside it is not looked at."""

    def __str__(self) -> str:
        """The folder, or the file; for a hub id the id and the commit, which the cache uses as the folder's name."""
        if self.gguf is not None:
            return str(self.gguf)
        return f"{self.hub_id}@{self.folder.name}" if self.hub_id else str(self.folder)

    def fetch(self, patterns: tuple[str, ...]) -> None:
        """Bring further files of a hub model into the folder; a local folder has all it has."""
        if self.hub_id:
            _download(self.hub_id, self.revision, patterns)

    def matching(self, patterns: tuple[str, ...]) -> list[Path]:
        """Files of the model in the folder that match a pattern, sorted by name."""
        if self.gguf is not None:
            return []
        return sorted({path for pattern in patterns for path in self.folder.glob(pattern) if path.is_file()})


def is_local(name: str) -> bool:
    """Whether a name is that of a folder here, which goes before the hub."""
    return _is(name, Path.is_dir)


def _is(name: str, kind: Callable[[Path], bool]) -> bool:
    try:
        return kind(Path(name).expanduser())
    except (OSError, ValueError, RuntimeError):  # too long for a path, or without a home
        return False


def find_source(name: str, revision: str | None = None, *, config: bool = True) -> Source:
    """The folder of a name, with configuration and tokenizer in it (weights are fetched when they are needed).

    Args:
        name: a folder, a GGUF file, a hub id, or a name in ``PUBLISHED`` or ``PACKAGED``; a folder of that name goes
            first.
        revision: branch, tag or commit of a hub id.
        config: whether there must be a config.json; a tokenizer alone needs none.

    Raises:
        BackboneError: no such folder, no such model on the hub, or no network; the package of a name is not installed.
        SettingError: a revision asked of a local folder.
    """
    if is_local(name) or is_gguf(name):
        if revision:
            kind = "folder" if is_local(name) else "file"
            raise SettingError(f"{name} is a local {kind} and has no revisions; leave out the revision {revision!r}")
        source = _local(name, Path(name).expanduser())
    elif _is(name, Path.exists):
        raise BackboneError(f"{name} is a file; give the folder it lies in, {_OR_FILE}")
    elif name in PACKAGED:
        source = _local(name, _in_package(name, revision))
    elif not name[:1].isalnum() or name.count("/") > 1 or "\\" in name or name.endswith("/"):  # unlike a hub id
        raise BackboneError(f"there is no folder {name}; give {_BRING}, or a hub id such as Qwen/Qwen2-0.5B")
    else:
        hub_id = PUBLISHED.get(name, name)
        source = Source(name, _download(hub_id, revision, (*SETTINGS, *TOKENIZER_PATTERNS)), hub_id, revision)
    return _with_config(source) if config else _with_words(source)


def is_gguf(name: str) -> bool:
    """Whether a name is that of a GGUF file here."""
    return name.endswith(SUFFIX) and _is(name, Path.is_file)


def _local(name: str, path: Path) -> Source:
    return Source(name, path.parent, gguf=path) if path.is_file() else Source(name, path)


def _in_package(name: str, revision: str | None) -> Path:
    """Raises BackboneError: the package is not installed.  SettingError: it has no revisions."""
    entry = PACKAGED[name]
    if revision:
        raise SettingError(f"{name} comes from a package and has no revisions; leave out the revision {revision!r}")
    if (path := entry.place()) is None:
        raise BackboneError(
            f"{name} comes with a package that is not installed; {entry.command}, or give {entry.hub}, which comes "
            "from the hub"
        )
    return path


def _with_config(source: Source) -> Source:
    """A model's folder as it is, an adapter's with its base, or the GGUF file in one that has no other model."""
    if source.gguf is not None:
        return source
    if (source.folder / ADAPTER).is_file():
        source.fetch(WEIGHTS)
        if not source.matching((*WEIGHTS, "pytorch_model*.bin")):
            return replace(source, base=_base_of(source))
    is_plain = (source.folder / "config.json").is_file()
    has_weights = is_plain and source.matching((*WEIGHTS, "pytorch_model*.bin"))
    packed = None if source.hub_id or has_weights else _one_packed(source)
    if packed is not None:
        return replace(source, gguf=packed)
    if is_plain:
        return source
    raise BackboneError(f"{source} has no config.json, so it is no transformers model; give {_OR_FILE}")


def _with_words(source: Source) -> Source:
    """For a tokenizer alone: a folder with one, or the GGUF file in a folder that has none beside it."""
    if source.hub_id or source.gguf is not None or source.matching(TOKENIZER_PATTERNS):
        return source
    return replace(source, gguf=_one_packed(source))


def _one_packed(source: Source) -> Path | None:
    """The GGUF file in a folder, if there is one.  Raises BackboneError: there are several models."""
    packed = source.matching((f"*{SUFFIX}",))
    if len(packed) > 1 and not all(map(is_part, packed)):
        names = ", ".join(path.name for path in packed[:5]) + (", ..." if packed[5:] else "")
        raise BackboneError(f"{source} holds {len(packed)} GGUF files ({names}); give the path of one of them")
    return packed[0] if packed else None


def _base_of(source: Source) -> Source:
    """The model an adapter was trained on, by the name or the path that it keeps."""
    path = source.folder / ADAPTER
    stated = read_stated(path)
    name, revision = stated.get("base_model_name_or_path"), stated.get("revision")
    if not isinstance(name, str) or not 0 < len(name) < _LONGEST_PATH:
        raise BackboneError(
            f"{source} is an adapter that does not name its base; write the base's folder or hub id into "
            f"base_model_name_or_path of {path}"
        )
    beside = str(source.folder / name)
    is_model = is_gguf(name) or (is_local(name) and (Path(name).expanduser() / "config.json").is_file())
    place = beside if not is_model and (is_local(beside) or is_gguf(beside)) else name
    if is_local(place) and Path(place).expanduser().resolve() == source.folder.resolve():
        raise BackboneError(f"{source} is an adapter that names itself as its base; correct {path}")
    try:
        base = find_source(place, revision if isinstance(revision, str) and not is_local(place) else None)
    except BackboneError as error:
        raise BackboneError(
            f"{source} is an adapter for {name}, which cannot be had ({error}); bring that model and write its folder "
            f"into base_model_name_or_path of {path}"
        ) from error
    if base.base is not None:
        raise BackboneError(f"{source} is an adapter for {name}, which is an adapter itself; merge that one first")
    return base


def _download(hub_id: str, revision: str | None, patterns: tuple[str, ...]) -> Path:
    """The snapshot folder with the files of some patterns: from the cache, or from the network."""
    from huggingface_hub import errors, snapshot_download

    try:
        return Path(
            snapshot_download(hub_id, revision=revision, allow_patterns=list(patterns), ignore_patterns=["*/*", "*.py"])
        )
    except (errors.HFValidationError, errors.HfHubHTTPError, OSError) as error:
        served = " (a model on a server, endpoint:NAME, answers the route prompt alone)" if ":" in hub_id else ""
        sentences = {
            errors.HFValidationError: f"{hub_id!r} is neither a folder here nor a possible hub id{served}; "
            f"{_or_meant(hub_id)}give {_BRING}",
            errors.GatedRepoError: f"{hub_id} is gated; accept its terms at https://huggingface.co/{hub_id} and log in "
            "with `hf auth login`",
            errors.RevisionNotFoundError: f"{hub_id} has no revision {revision!r}; leave it out, or give a branch, tag "
            "or commit",
            errors.RepositoryNotFoundError: f"there is no folder {hub_id} here and no such model on the hub (or it is "
            f"private: `hf auth login`){_meant(hub_id)}",
        }
        known = (sentence for kind, sentence in sentences.items() if isinstance(error, kind))
        raise BackboneError(next(known, None) or _unreachable(hub_id, error)) from error


def _meant(name: str) -> str:
    near = similar_name(name)
    return "" if near is None else f"; did you mean {near}?"


def _or_meant(name: str) -> str:
    near = similar_name(name)
    return "" if near is None else f"did you mean {near}? Otherwise "


def _unreachable(hub_id: str, error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"the disk is full while fetching {hub_id}; make room, or set HF_HOME to a folder on another disk"
    offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE", "0") not in {"", "0"} else ""
    return (
        f"{hub_id} is no folder here, is not in the hub's cache, and the hub cannot be reached{offline}; "
        f"{_or_meant(hub_id)}bring {_BRING} from https://huggingface.co/{hub_id} and give the folder's path instead of "
        "the name"
    )
