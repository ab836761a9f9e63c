"""The commands and how errors end."""

from __future__ import annotations

import sys

import typer

import tokenworth.cli.assessing as assessing
import tokenworth.cli.demo as demo
import tokenworth.cli.listing as listing
from tokenworth.cli.console import fail
from tokenworth.errors import SettingError, TokenworthError

app = typer.Typer(
    name="tokenworth",
    help="Is next-token pretraining, and the adaptation after it, worth its cost for your text-classification task?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("assess")(assessing.assess)
app.command("rank")(assessing.rank)
app.command("tasks")(listing.tasks)
app.command("backbones")(listing.backbones)
app.command("doctor")(listing.doctor)
app.command("demo")(demo.demo)


def main() -> None:
    """Run the command line; what users can mend ends in one sentence, not in a traceback."""
    try:
        app()
    except SettingError as error:
        fail(str(error))
        sys.exit(2)
    except TokenworthError as error:
        fail(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        fail("interrupted")
        sys.exit(1)


if __name__ == "__main__":
    main()
