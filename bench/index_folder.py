"""What an index of many results takes: python bench/index_folder.py ASSESSMENT [--copies 1000].

Copies the file of one assessment into as many folders, reads them as `tokenworth index` does, makes the page, looks a
second time as `--watch` does, and parses the same files whole for comparison.  One line of JSON: seconds of the wall
clock and of the processor.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from tokenworth.report.index.folder_reader import FolderReader
from tokenworth.report.index.result_kinds import result_kinds
from tokenworth.report.pages.index_page import index_page

T = TypeVar("T")


def measured(seconds: dict[str, Any], name: str, work: Callable[[], T]) -> T:
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    seconds[name] = {
        "wall": round(time.perf_counter() - wall, 2),
        "processor": round(time.process_time() - processor, 2),
    }
    return result


def copies(assessment: Path, root: Path, count: int) -> None:
    content = json.loads(assessment.read_text(encoding="utf-8"))
    for number in range(count):
        content["task"] |= {"name": f"task-{number % 20}", "fingerprint": f"{number % 20:064x}"}
        folder = root / f"day-{number // 50}" / f"model-{number}"
        folder.mkdir(parents=True)
        text = json.dumps(content, ensure_ascii=False, indent=1)
        (folder / "assessment.json").write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("assessment", type=Path, help="an assessment.json")
    parser.add_argument("--copies", type=int, default=1000)
    given = parser.parse_args()
    result_kinds()  # what is imported is not counted
    with TemporaryDirectory() as folder:
        root, seconds = Path(folder), dict[str, Any]()
        copies(given.assessment, root, given.copies)
        size = sum(path.stat().st_size for path in root.rglob("assessment.json"))
        reader = FolderReader(root)
        index = measured(seconds, "read", reader.read)
        page = measured(seconds, "page", lambda: index_page(index))
        measured(seconds, "look", reader.has_changed)
        measured(seconds, "again", reader.read)
        paths = sorted(root.rglob("assessment.json"))
        measured(seconds, "whole files", lambda: [json.loads(path.read_text(encoding="utf-8")) for path in paths][:0])
    sizes = {"results": len(index.entries), "megabytes": round(size / 1e6), "page megabytes": round(len(page) / 1e6, 1)}
    print(json.dumps(sizes | {"seconds": seconds}))


if __name__ == "__main__":
    main()
