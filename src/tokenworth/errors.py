"""One family of errors, each also the standard exception a caller would expect.

A message says what was found, where, and what to do about it; it is one sentence a person can act on.
"""


class TokenworthError(Exception):
    """Everything the package raises on purpose; the command line turns it into one line and exit code 1."""


class TaskError(TokenworthError, ValueError):
    """The labelled texts cannot be used as they are."""


class BackboneError(TokenworthError, ValueError):
    """The model or its tokenizer cannot be loaded or cannot be used."""


class EncodeError(TokenworthError, RuntimeError):
    """The forward pass cannot go on."""


class AdaptError(TokenworthError, RuntimeError):
    """A route cannot be run to its end, or what it saved cannot be used."""


class PretrainError(TokenworthError, RuntimeError):
    """The documents do not suffice, or pretraining cannot go on."""


class SettingError(TokenworthError, ValueError):
    """An option has a value that is not understood."""


def first_line(error: Exception) -> str:
    """What another library says of a failure, cut to what fits into a sentence."""
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return "".join(char for char in line if char.isprintable())[:200]
