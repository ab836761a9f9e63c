"""tokenworth tokenizer: train one, and see what it costs by source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tokenworth.cli.console import print_json, tell
from tokenworth.cli.options import Given, Options, Output, said, takes
from tokenworth.settings import OutFolder


@takes(Options(Output, "json"))
def train(
    file: Annotated[Path, said("TOKENIZER.yaml: kind, vocabulary, sources.")],
    /,
    *,
    out: Annotated[Path, said("Folder of the tokenizer; by default out/tokenizer.", OutFolder)] = Path("out/tokenizer"),
    given: Given,
) -> None:
    import json

    from tokenworth.base.atomic_files import write_text, writing
    from tokenworth.pretraining.tokenizer_training import train_from_file

    with writing(out) as place:
        report = train_from_file(file, place)
        write_text(place / "fertility.json", json.dumps(report, indent=1))
    if given.json:
        print_json(report)
        return
    tell(f"{report['kind']}, {report['vocabulary']:,} tokens, in {out}")
    tell(f"{'source':<24}{'tokens a word':>14}{'bytes a token':>14}{'texts':>8}")
    for row in report["sources"]:
        counts = f"{row['tokens_per_word']:>14.3f}{row['bytes_per_token']:>14.3f}{row['texts']:>8,}"
        tell(f"{row['source']:<24}{counts}")
