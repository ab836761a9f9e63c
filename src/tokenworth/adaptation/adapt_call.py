"""What `adapt` is called with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tokenworth.adaptation.route_settings import Configuration
from tokenworth.assessment.assessment_settings import Model, ProgressCall
from tokenworth.backbones.model_choice import ModelSource
from tokenworth.settings import OutFolder, Seed
from tokenworth.tasks import Task


@dataclass(frozen=True, kw_only=True)
class AdaptCall(ModelSource):
    """What `adapt` takes."""

    model: Model | None = field(kw_only=False)
    """Folder, GGUF file, hub id or published name; endpoint:NAME for one on a server (the route prompt, with url); none
    for bow; in Python also a Backbone, which is left as it is."""
    task: str | Task = field(kw_only=False)
    """A file (.csv, .tsv, .jsonl, .parquet), a folder of train and test files, a hub id, a published name, docstrings;
    in Python also a Task."""
    route: str = field(kw_only=False)
    """bow, prompt, probe, lora, full, contrastive or scratch."""
    device: str = "auto"
    """auto (cuda, then mps, then cpu), cpu, cuda or mps."""
    seed: Seed = 0
    """Of samples, order, head, adapters, dropout and random weights."""
    config: Configuration = None
    """Settings, a mapping of those that are given, or a YAML file of them."""
    out: OutFolder = None
    """Folder for result.json, predictions.parquet, the classifier and checkpoints; by default none are written."""
    cache: str | Path | bool = True
    """Folder where features of the route probe and answers of servers are kept for reuse; by default TOKENWORTH_CACHE
    or ~/.cache."""
    progress: ProgressCall = None
    """Called as progress(what, done, total)."""
