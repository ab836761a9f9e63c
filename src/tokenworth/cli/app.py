"""The commands, one line each, and how errors end."""

from __future__ import annotations

import os
import sys

from cyclopts import App, CycloptsError, Parameter

import tokenworth.report.terminal.standard_streams as streams
from tokenworth.base.interruption import InterruptionError, interruptible, sentence
from tokenworth.base.thread_waiting import wait_briefly_beside_others
from tokenworth.cli.console import is_main_process
from tokenworth.cli.first_steps import BEGIN
from tokenworth.errors import MisuseError, SettingError, TokenworthError
from tokenworth.report.terminal.printable import fail, printing_safely
from tokenworth.version import __version__

_QUESTION = "Is next-token pretraining, and the adaptation after it, worth its cost for your text-classification task?"
COMMANDS = {
    "assess": "Assess one backbone on a task in one forward pass: every layer, every score, one page.",
    "rank": "Compare backbones on one task; ties within the noise are marked, a backbone that fails is reported.",
    "decide": "Which route is worth its cost: predicted F1 and cost of each, and the run that pays.",
    "adapt": "Run one route on a task; the same command goes on with a run that was interrupted.",
    "predict": "Predict the classes of new texts with what adapt saved.",
    "suggest": "Which texts of a pool to label next, for a classifier that adapt saved: unsure ones unlike each other.",
    "compare": "Put runs on one task side by side; McNemar's test says whether they err on other texts than the first.",
    "export": "Write a trained classifier for others: a transformers checkpoint, an ONNX graph, a LoRA adapter.",
    "pretrain": "Pretrain a decoder on next tokens; the same command goes on after an interruption.\n\n"
    "RUN holds checkpoints/tokens-N (plain transformers folders), metrics.jsonl, run.json and report.html.",
    "mixture": "Find weights for sources by DoReMi: a reference run, and a proxy that learns where it lags behind.\n\n"
    "OUT gets run.yaml (the run file with the weights found), mixture.json, trajectory.csv and report.html; the same "
    "command goes on after an interruption.",
    "trace": "Perception along a run or its checkpoints: after how many tokens was it worth its cost, if at all?\n\n"
    "OUT gets trace.html, trace.parquet and trace.json; the same command goes on where it was.",
    "index": "Every result below a folder on one page that sorts, filters and compares; or two results side by side.",
    "tasks": "The published tasks by name, where they come from and how their columns are read.",
    "backbones": "Backbones with a name; any folder, GGUF file or hub id that transformers loads works as well.",
    "doctor": "What this machine has, and what an assessment or a route would take on it: FLOPs, time, memory, disk.",
    "demo": "Offline: is a real model's pretraining worth its cost on packages' docstrings? Rank, decide, adapt.",
    "completion": "A script that completes commands and options in a shell; source it where the shell starts.",
    "extend": "Make a checkpoint ready for a longer context: the same weights, rotary positions scaled.",
    "cache": "The forward passes that are kept for reuse, and those that can go on.",
    "cache list": "What is kept, the most recently used first, and how much room it takes.",
    "cache clear": "Remove what is kept; a pass that is running now stays.",
    "study": "Run a grid of backbones, tasks, routes and seeds as cells.",
    "study run": "Run every cell that is not finished; the same command goes on where it was.",
    "study status": "Which cells are finished, running, failed (and why) or waiting.",
    "study tables": "A metric by task, backbone and route: means over seeds.",
    "study export": "Every cell with its coordinates and figures as one .csv, .tsv, .jsonl or .parquet file.",
    "study figures": "Figures as PNG and SVG, and one page with all tables, beside the published numbers.",
    "study list": "The studies that come with the package.",
    "corpus": "Raw documents to text to pretrain on.",
    "corpus build": "Shuffled files of text with a report of where every document went; the same command goes on.\n\n"
    "OUT/pretrain.yaml is what tokenworth pretrain trains on; with `pack` in the file its token shards are made, too.",
    "corpus audit": "Counts, languages, personal data, duplicates and texts of tasks in documents; nothing is changed.",
    "scaling": "Fit scaling laws to finished runs, and plan with them.",
    "scaling fit": "Constants of a law with 95 % intervals; OUT gets fit.json.",
    "scaling plan": "Parameters and tokens for a budget: best for training alone, and with serving paid from it.",
    "tokenizer": "Tokenizers of your own.",
    "tokenizer train": "Train byte-level BPE or Unigram; OUT is a plain transformers folder.",
    "measure": "Exposure, memory, test texts seen, routing, positions and retrieval of a decoder.",
    "measure exposure": "What a model's own text costs it, against another real text, by place behind the prefix.",
    "measure memorisation": "Which spans of its training FILES a model recites, by prefix length and frequency.",
    "measure completion": "Whether a model seems to have read a task's test texts: completed, or too familiar?",
    "measure router": "Load of every expert of a mixture, layer by layer.",
    "measure positions": "Loss by position in long documents, and what context beyond the trained length is worth.",
    "measure retrieval": "Whether a planted fact is found again, by length of the text and depth of the fact.",
}
"""What each command does; its function lies in the file of its first word and is loaded when it is called."""
GROUPS = frozenset(name.split()[0] for name in COMMANDS if " " in name)
_FILES = {"rank": "assess", "trace": "decide", "tasks": "backbones", "extend": "measure", "mixture": "pretrain"}
_FILES |= {
    "tokenizer": "pretrain",
    "scaling": "pretrain",
    **dict.fromkeys(("predict", "suggest", "compare", "export"), "adapt"),
}
"""Commands whose function lies in another's file."""


def _command_line() -> App:
    root = App(
        name="tokenworth",
        help=_QUESTION,
        help_format="plaintext",
        version=__version__,
        version_flags=["--version"],
        default_parameter=Parameter(allow_repeating=True),  # the last one counts
    )
    apps = {name: App(name=name, help=COMMANDS[name], version_flags=[]) for name in sorted(GROUPS)}
    for name, what in COMMANDS.items():
        first, _, second = name.partition(" ")
        function = f"tokenworth.cli.{_FILES.get(first, first)}_commands:{(second or first).replace('list', 'list_')}"
        if name in GROUPS:
            root.command(apps[name])
        else:
            apps.get(first, root).command(function, name=second or first, help=what)
    return root


app = _command_line()


def main() -> None:
    """Run the command line; what users can mend ends in one sentence, not in a traceback."""
    try:
        _main()
    finally:
        _leave_processes()


def _main() -> None:
    streams.take_any_letter()
    wait_briefly_beside_others()
    with printing_safely(), interruptible(_say_interrupted) as interruption:
        try:
            _run(sys.argv[1:])
        except (InterruptionError, SystemExit):  # libraries turn signals into their own ends of the program
            if not interruption.number:
                raise
            _say_interrupted()
            sys.exit(interruption.code)
        finally:
            streams.flush()


def _run(words: list[str]) -> None:
    if not words:
        sys.stdout.write(BEGIN + "\n")
        return
    try:
        app(words, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        said = " ".join(str(error).split())
        fail(f"{said.removesuffix('.').removesuffix('.').removesuffix(', .')}{_usage()}")
        sys.exit(2)
    except TokenworthError as error:
        fail(f"{error}{_usage() if isinstance(error, MisuseError) else ''}")
        sys.exit(2 if isinstance(error, SettingError) else 1)
    except OSError as error:
        if streams.is_of_stream(error):
            streams.give_up(error)
        fail(streams.of_the_system(error))
        sys.exit(1)


def _usage() -> str:
    command, _, _ = app.parse_commands(sys.argv[1:])
    return f" (Usage: {' '.join(['tokenworth', *command])} --help)"


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
