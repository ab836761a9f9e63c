"""tokenworth index: every result below a folder on one page, and any two of them side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tokenworth.base.interruption import InterruptionError
from tokenworth.cli.console import print_json, say, tell
from tokenworth.cli.options import Given, Options, Output, said, takes
from tokenworth.errors import SettingError, TokenworthError
from tokenworth.report.index.index_settings import IndexCall

if TYPE_CHECKING:
    from tokenworth.report.index.folder_reader import FolderReader, ResultIndex
    from tokenworth.report.index.index_entry import Entry

_Folder = Annotated[Path, said("Folder that holds results at any depth; its index.html is written.")]
_Pair = Annotated[
    tuple[Path, Path] | None, said("Two results of a kind, by folder: print what changed, and write no page.")
]
_RELOAD_SECONDS = 5


@takes(IndexCall, Options(Output, "json", "quiet"))
def index(folder: _Folder, /, *, compare: _Pair = None, options: Given) -> None:
    from tokenworth.report.index.folder_reader import FolderReader

    call = IndexCall(**options.of(IndexCall))
    if call.watch and (options.json or compare is not None):
        raise SettingError("--watch keeps a page and prints no result; leave out --json and --compare, or --watch")
    reader = FolderReader(folder)
    if compare is not None:
        _compare(reader.read(), compare, json=options.json)
    elif call.watch:
        _watch(reader, call)
    else:
        _write(reader.read(), json=options.json)


def _write(index: ResultIndex, *, json: bool) -> None:
    from tokenworth.report.index.index_file import save_index
    from tokenworth.report.terminal.index_tables import index_facts, index_table
    from tokenworth.report.terminal.tables import show

    page = save_index(index)
    if json:
        print_json(index_facts(index))
    elif index.entries:
        show(index_table(index))
    _say_counts(index)
    say(f"index: {page}")


def _say_counts(index: ResultIndex) -> None:
    from tokenworth.report.index.result_comparison import kinds_text

    for fault in index.faults:
        say(f"! {fault.sentence}")
    say(f"results: {kinds_text(index)}")


def _watch(reader: FolderReader, call: IndexCall) -> None:
    from tokenworth.report.index.index_file import save_index, watch

    latest = reader.read()

    def write(index: ResultIndex) -> None:
        nonlocal latest
        latest = index
        save_index(index, reload_seconds=_RELOAD_SECONDS)
        _say_counts(index)

    try:
        write(latest)
        say(f"index: {reader.root / 'index.html'}; watching, Ctrl-C ends it")
        watch(reader, write, every=call.every)
    except InterruptionError:  # the way this command ends: open pages stop loading themselves anew
        save_index(latest)
        raise


def _compare(index: ResultIndex, names: tuple[Path, Path], *, json: bool) -> None:
    from tokenworth.report.index.result_comparison import chosen_pair, compare_entries
    from tokenworth.report.terminal.index_tables import changes_table, comparison_facts, comparison_lines
    from tokenworth.report.terminal.tables import comparison_table, show

    comparison = compare_entries(*chosen_pair(index, names))
    runs: list[dict[str, Any]] = []
    if comparison.first.kind == "run" and comparison.same_texts:
        runs = _tested(index, comparison.first, comparison.second)
    if json:
        print_json({**comparison_facts(comparison), "runs": runs})
        return
    for line in comparison_lines(comparison):
        tell(line)
    if runs:
        show(comparison_table(runs, "weighted_f1"))
    show(changes_table(comparison))


def _tested(index: ResultIndex, first: Entry, second: Entry) -> list[dict[str, Any]]:
    """McNemar's test between two runs; where their predictions cannot be read, the reason is said and there is none."""
    from tokenworth.adaptation import AdaptResult
    from tokenworth.adaptation.evaluation.comparison import compare_results

    try:
        return compare_results({entry.place: AdaptResult.load(index.root / entry.place) for entry in (first, second)})
    except TokenworthError as error:
        say(f"! no test of the difference: {error}")
        return []
