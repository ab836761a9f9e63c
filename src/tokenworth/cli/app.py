"""The commands and how errors end."""

from __future__ import annotations

import errno
import os
import sys

import typer

import tokenworth.cli.adapt_commands as adapting
import tokenworth.cli.assess_commands as assessing
import tokenworth.cli.backbones_command as backbones
import tokenworth.cli.cache_commands as cache
import tokenworth.cli.context_commands as lengths
import tokenworth.cli.corpus_commands as corpus
import tokenworth.cli.decide_command as deciding
import tokenworth.cli.demo_command as demo
import tokenworth.cli.doctor_command as doctor
import tokenworth.cli.measure_commands as measuring
import tokenworth.cli.mixture_command as weighing
import tokenworth.cli.pretrain_command as pretraining
import tokenworth.cli.scaling_commands as scaling
import tokenworth.cli.standard_streams as streams
import tokenworth.cli.study_commands as study
import tokenworth.cli.tasks_command as listing
import tokenworth.cli.tokenizer_commands as tokenizing
import tokenworth.cli.trace_command as tracing
from tokenworth.cli.console import fail, is_main_process
from tokenworth.cli.interruption import InterruptionError, interruptible, sentence
from tokenworth.errors import SettingError, TokenworthError, first_line
from tokenworth.report.terminal.printable import printing_safely

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
app = typer.Typer(
    name="tokenworth",
    help="Is next-token pretraining, and the adaptation after it, worth its cost for your text-classification task?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("assess")(assessing.assess)
app.command("rank")(assessing.rank)
app.command("decide")(deciding.decide)
app.command("adapt")(adapting.adapt)
app.command("predict")(adapting.predict)
app.command("compare")(adapting.compare)
app.command("export")(adapting.export)
app.command("pretrain")(pretraining.pretrain)
app.command("mixture")(weighing.mixture)
app.command("trace")(tracing.trace)
app.command("tasks")(listing.tasks)
app.command("backbones")(backbones.backbones)
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)
app.command("extend")(lengths.extend)
app.add_typer(cache.app, name="cache")
app.add_typer(study.app, name="study")
app.add_typer(corpus.app, name="corpus")
app.add_typer(scaling.app, name="scaling")
app.add_typer(tokenizing.app, name="tokenizer")
app.add_typer(measuring.app, name="measure")


def main() -> None:
    """Run the command line; what users can mend ends in one sentence, not in a traceback."""
    streams.take_any_letter()
    with printing_safely(), interruptible(_say_interrupted) as interruption:
        try:
            _run()
        except (InterruptionError, SystemExit):  # libraries turn signals into their own ends of the program
            if not interruption.number:
                raise
            _say_interrupted()
            sys.exit(interruption.code)
        finally:
            _leave_processes()
            streams.flush()


def _run() -> None:
    try:
        app(prog_name="tokenworth")
    except SettingError as error:
        fail(str(error))
        sys.exit(2)
    except TokenworthError as error:
        fail(str(error))
        sys.exit(1)
    except OSError as error:
        if streams.is_of_stream(error):
            streams.give_up(error)
        fail(_of_the_system(error))
        sys.exit(1)


def _of_the_system(error: OSError) -> str:
    """What the system refuses where no command expected it: a full disk, most of the time."""
    reason = error.strerror or first_line(error)
    if error.errno in _NO_ROOM or "temporary directory" in reason:
        return f"{error.filename or 'a file'} cannot be written ({reason}); make room and run the same command again"
    return f"{error.filename or 'a file'} cannot be read or written ({reason}); see to it and run it again"


def _say_interrupted() -> None:
    if is_main_process():
        fail(sentence(sys.argv[1:]))


def _leave_processes() -> None:
    """Only where torchrun or accelerate started several; the room that knows of them is heavy to load."""
    if os.environ.get("WORLD_SIZE", "1") != "1":
        from tokenworth.base.processes import leave_processes

        leave_processes()


if __name__ == "__main__":
    main()
