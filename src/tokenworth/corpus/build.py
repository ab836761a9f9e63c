"""From a corpus file to shuffled files of text, stage by stage and shard by shard.

Every shard of every stage lies in the work folder under a key of all it depends on.  Whatever is killed goes on where
it was, and a changed setting makes anew what depends on it and nothing else.
"""

from __future__ import annotations

from pathlib import Path

from tokenworth.base.aliases import Progress
from tokenworth.base.keywords import known_keywords
from tokenworth.base.locks import claimed
from tokenworth.corpus.corpus_settings import Corpus
from tokenworth.corpus.engine.engines import Engine, Local
from tokenworth.corpus.engine.pipeline import Flow, prepared_stages, read_sources, run_stages
from tokenworth.corpus.engine.shard_store import remove_unfinished
from tokenworth.corpus.output.output_files import write_output


@known_keywords
def build(corpus: Corpus, out: str | Path, *, engine: Engine | None = None, progress: Progress | None = None) -> Flow:
    """Make what a corpus file says; OUT/text-00000.parquet and so on, and last OUT/corpus.json.

    Args:
        corpus: what `load_corpus` gave.
        out: folder of the result; OUT/work holds what is needed to go on or to begin with other settings.
        engine: where jobs run; None takes this process.
        progress: called as progress(what, done, of how many).

    Returns:
        Where every document went, for `describe`.

    Raises:
        SettingError: a source has no file.
        TaskError: a task cannot be loaded.
        BackboneError: a model cannot be loaded.
        BusyError: another build works in the folder.
        TokenworthError: no room left, or no document left.
    """
    place = Path(out).resolve()
    with claimed(place):
        remove_unfinished(place)
        flow = Flow.of(corpus, place / "work", engine or Local(), progress)
        # Before anything runs: a model or a task that is not there is told at once.
        stages = prepared_stages(corpus, flow.root, flow.notes)
        read_sources(flow)
        run_stages(flow, stages)
        write_output(flow, place)
        return flow
