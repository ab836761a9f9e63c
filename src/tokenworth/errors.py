"""One family of errors, each also the standard exception a caller would expect.

A message says what was found, where, and what to do about it; it is one sentence a person can act on.
"""

from collections.abc import Sequence


class TokenworthError(Exception):
    """Everything the package raises on purpose; the command line turns it into one line and exit code 1."""


class FileError(TokenworthError, ValueError):
    """A file cannot be read, or files of a set are missing."""


class TaskError(TokenworthError, ValueError):
    """The labelled texts cannot be used as they are."""


class BackboneError(TokenworthError, ValueError):
    """The model or its tokenizer cannot be loaded or cannot be used."""


class EncodeError(TokenworthError, RuntimeError):
    """The forward pass cannot go on."""


class AdaptError(TokenworthError, RuntimeError):
    """A route cannot be run to its end, or what it saved cannot be used."""


class DivergedError(AdaptError):
    """Training came to a loss or gradient that is no finite number."""

    def __init__(self, sentence: str, *, steps: int = 0, cost: dict[str, float] | None = None) -> None:
        super().__init__(sentence)
        self.steps, self.cost = steps, cost or {}
        """Made before, and what they took: tokens, padded_tokens, train_flops, loop_seconds."""


class EndpointError(TokenworthError, RuntimeError):
    """A server that a model is asked for on gives no answers, or none that can be paid for."""


class PretrainError(TokenworthError, RuntimeError):
    """The documents do not suffice, or pretraining cannot go on."""


class SettingError(TokenworthError, ValueError):
    """An option has a value that is not understood.

    Args:
        sentence: for people.
        mistakes: the sentence of each mistake, where it tells of several.
    """

    def __init__(self, sentence: str = "", mistakes: Sequence[str] = ()) -> None:
        super().__init__(sentence, *([tuple(mistakes)] if mistakes else []))

    @property
    def mistakes(self) -> tuple[str, ...]:
        """A sentence each."""
        return tuple(self.args[1]) if len(self.args) > 1 else (str(self),)

    def __str__(self) -> str:
        return str(self.args[0])


class MisuseError(SettingError):
    """A command line that its parser does not take: told with the way to the command's help."""


def is_panic(error: BaseException) -> bool:
    """Whether a library written in Rust gave up in the middle; its exception is none of Python's `Exception`."""
    return type(error).__name__ == "PanicException"


def first_line(error: BaseException) -> str:
    """What another library says of a failure, cut to what fits into a sentence."""
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return "".join(char for char in line if char.isprintable())[:200]
