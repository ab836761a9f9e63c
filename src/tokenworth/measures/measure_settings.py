"""Settings of the measures of a decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from tokenworth.settings import Bounds, ByComma, Count, Seed, Settings
from tokenworth.settings.declarations import NoOption, OptionName

if TYPE_CHECKING:
    from tokenworth.measures.loaded_decoder import Decoder
else:
    Decoder = object

AtLeastTwo = Annotated[int, Bounds(least=2)]
Texts = Annotated[int, Bounds(least=2), OptionName("texts")]
Lengths = Annotated[tuple[int, ...], ByComma()]


@dataclass(frozen=True, kw_only=True)
class DecoderChoice(Settings):
    """What `load_decoder` takes."""

    name: str = field(kw_only=False)
    """Folder or hub id of a language model; with @random appended its twin with random weights."""
    device: str = "auto"
    """auto (cuda, then mps, then cpu), cpu, cuda or mps."""
    dtype: str = "float32"
    """float32, which measures what the weights say, bfloat16, float16 or float64."""
    seed: Seed = 0
    """Of random weights, samples and intervals."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How files of documents are read."""

    whole: bool = False
    """A .txt file is one document."""


@dataclass(frozen=True, kw_only=True)
class OnDocuments(Settings):
    """What every measure on documents takes."""

    decoder: Decoder = field(kw_only=False)
    """The model."""
    documents: Sequence[str] = field(kw_only=False)
    """Real texts; those that are too short for what is measured are passed over."""
    seed: Seed = 0
    """Of the order of documents, samples and intervals."""


@dataclass(frozen=True, kw_only=True)
class ExposureCall(OnDocuments):
    """What `measure_exposure` takes."""

    prefixes: Lengths = (16, 64, 128)
    """Lengths of prefixes in tokens, such as 16,64; the token that begins a document is one."""
    continuation: Count = 32
    """Tokens behind a prefix."""
    start: Count = 1
    """Real tokens that samples begin with."""
    most: Texts = 200
    """Documents that are read, in seeded order."""
    reference: Annotated[Decoder | None, NoOption()] = None
    """Another model of the same tokens that judges documents and samples."""


@dataclass(frozen=True, kw_only=True)
class MemorisationCall(OnDocuments):
    """What `measure_memorisation` takes; the documents are all it was trained on."""

    held_out: Annotated[Sequence[str], NoOption()] = field(default=(), kw_only=False)
    """Documents it was not trained on; spans of them that also stand in the others are left out."""
    prefixes: Lengths = (8, 32, 64)
    """Lengths of prefixes in tokens, such as 16,64."""
    span: int = 32
    """Tokens to be recited."""
    most: Annotated[int, Bounds(least=1), OptionName("spans")] = 200
    """Spans of each group (standing once, 2 or 3 times, 4 to 7 times, ...)."""


@dataclass(frozen=True, kw_only=True)
class CompletionCall(Settings):
    """What `measure_completion` takes."""

    decoder: Decoder = field(kw_only=False)
    """The model."""
    test: Sequence[str] = field(kw_only=False)
    """Texts it should not have read."""
    control: Sequence[str] = field(kw_only=False)
    """Texts of the same kind; those that are test texts are left out."""
    control_name: Annotated[str, NoOption()] = "control"
    """train, shuffled or where it is from; shuffled is not compared by likelihood."""
    length: Annotated[int, Bounds(least=8)] = 128
    """Tokens of a text that are looked at."""
    most: Texts = 200
    """Texts of each part, sampled."""
    seed: Seed = 0
    """Of samples and intervals."""


@dataclass(frozen=True, kw_only=True)
class PositionsCall(OnDocuments):
    """What `measure_positions` takes."""

    length: int | None = None
    """Tokens read of a document; by default four times the window, or all positions of a model that has a table."""
    window: int | None = None
    """Trained length in tokens; by default the model's."""
    bins: int = 16
    """Ranges of positions."""
    most: Texts = 100
    """Documents that are read, in seeded order."""


@dataclass(frozen=True, kw_only=True)
class RetrievalCall(OnDocuments):
    """What `measure_retrieval` takes; the documents are filler, and where words are taken from."""

    lengths: Lengths | None = None
    """Tokens of a text, such as 512,2048; by default 1, 2 and 4 times the trained length."""
    depths: Annotated[tuple[int | float, ...], ByComma()] = tuple(range(0, 101, 10))
    """Where in the text a fact is planted, in percent."""
    values: AtLeastTwo = 10
    """Answers to choose from, the right one among them."""
    probes: AtLeastTwo = 10
    """Texts of each length and depth, each read twice."""
    question: str = "The secret word of {key} is"
    """What stands before a value, with {key}."""


@dataclass(frozen=True, kw_only=True)
class RouterSettings(Settings):
    """Texts whose experts are counted."""

    length: Count = 128
    """Tokens of a text; longer ones are cut."""
    most: Texts = 200
    """Documents that are read, in seeded order."""
    seed: Seed = 0
    """Of that order."""
