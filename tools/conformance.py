"""Write docs/models.md: what works with each architecture, as the conformance suite finds it.

    python tools/conformance.py                  all architectures, about ten minutes on one core
    python tools/conformance.py llama "opt: narrow embedding"
    python tools/conformance.py --gguf           the part on GGUF files alone, in the page as it is

Outcomes are kept in --kept by architecture, under a digest of the package, the suite and the library's version: a run
that was interrupted goes on, and an unchanged one only writes the page.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import re
import shutil
import sys
import tempfile
import warnings
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "src")]

Cells = dict[str, dict[str, dict[str, str]]]
"""Outcomes by check and number format."""

HEAD = """# Models

What works with each architecture: `python tools/conformance.py` builds a tiny model of every one (two to six blocks of
width 32, windows of 16 tokens, noise on every weight) and asks, with texts longer than every window, in float32 and in
bfloat16. `make check` runs the same suite, `make test` a dozen of the architectures.

- **states**: pooled states of the last layer are those of the library's own class, one text at a time.
- **batches**: states of every layer are the same for a text alone and among others.
- **packs**: texts trained in one row behind each other have the states they have alone; "padded": such a model is
  trained on padded batches.
- **prompt**, **text loss**: likelihoods are those of the class's own logits.
- **FLOPs**: counted without weights, they are what PyTorch's counter finds in the model itself (half of the pairs of
  tokens, if causal), and so are width, depth and causality.
- **LoRA**, **full**, **scratch**: three steps, saved, loaded again; equal probabilities, of a text alone and among
  others.
- **export**: transformers computes the same from the exported checkpoint (trained with `pooling: last` and
  `head_bias: false`).

A number is that of a sentence below the table, which the package itself says. "32" and "16" stand before what holds in
float32 and in bfloat16 alone; **wrong** and **broken** are ours to mend.

"""


GGUF_HEAD = """
# GGUF files

transformers unpacks files of these architectures, as llama.cpp names them: {known}.
Those that the suite writes itself, as llama.cpp's converter lays them out, are in the table (`python
tools/conformance.py --gguf`); the others were not tried.

- **float32**: states of every layer are those of the plain folder that the file was made from.
- **16 bits**, **8 bits**, **4 bits**: F16, Q8_0 and Q4_1; states are those of a folder with the weights that the blocks
  are worth by the package gguf.
- **FLOPs** to **export**: as above, from the file in float32; the export is a plain folder.

A file states less than a config.json. What transformers does not take from it is taken here where it is stated (width
of a head, sliding window, width of experts, share of a head that turns, the longest text) or follows from llama.cpp's
own rules (scale of Gemma's attention); positions that are scaled evenly or as in Llama 3.1 are, and any other scaling
is refused in a sentence. The width of random weights is nowhere in a file: `FILE.gguf@random` draws them with the
library's default. Soft caps of logits and the turn of local layers are those of the library's class.

"""


def main() -> None:
    """Run what is not kept yet and write the page."""
    from architectures import ARCHITECTURES, fit_for_tests

    arguments = _arguments()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    names = arguments.names or fit_for_tests()
    if unknown := sorted(set(names) - set(ARCHITECTURES)):
        raise SystemExit(f"there is no architecture {unknown[0]!r}; see tests/architectures.py")
    if arguments.gguf:
        page = arguments.out.read_text(encoding="utf-8").partition("\n# GGUF files\n")[0]
        arguments.out.write_text(page + _gguf_part(arguments.kept), encoding="utf-8")
        return
    found = _all_cells(names, arguments.kept, gguf=False)
    if arguments.names:
        sys.stdout.write(table(found, "SUITE"))
    else:
        arguments.out.write_text(HEAD + table(found, "SUITE") + _gguf_part(arguments.kept), encoding="utf-8")


def _gguf_part(kept: Path) -> str:
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    from gguf_files import NAMES

    try:
        from transformers.integrations.gguf import GGUF_CONFIG_ARCHS
    except ImportError:
        GGUF_CONFIG_ARCHS = ()
    known = sorted({*GGUF_SUPPORTED_ARCHITECTURES, *GGUF_CONFIG_ARCHS} - {"general", "tokenizer"})
    return GGUF_HEAD.format(known=", ".join(known)) + table(_all_cells(list(NAMES), kept, gguf=True), "GGUF_SUITE")


def _all_cells(names: list[str], kept: Path, *, gguf: bool) -> dict[str, Cells]:
    found = {}
    for name in names:
        found[name] = _cells(name, kept, gguf=gguf)
        states = {cell["state"] for row in found[name].values() for cell in row.values()}
        sys.stdout.write(f"{name}: {', '.join(sorted(states))}\n")
        sys.stdout.flush()
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="only these, and print their table")
    parser.add_argument("--gguf", action="store_true", help="only the part on GGUF files")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "models.md")
    parser.add_argument("--kept", type=Path, default=ROOT / "out" / "conformance")
    return parser.parse_args()


def _cells(name: str, kept: Path, *, gguf: bool) -> Cells:
    """Outcomes of one architecture, from before or now."""
    from architectures import Architecture
    from conformance import DTYPES, GGUF_SUITE, SUITE, Outcome, outcome
    from gguf_files import write_files

    suite = GGUF_SUITE if gguf else SUITE
    path = kept / f"{'gguf-' if gguf else ''}{name.replace(': ', '-').replace(' ', '-')}-{_digest()}.json"
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    work = Path(tempfile.mkdtemp(prefix="conformance-"))
    try:
        folder = write_files(work, name) if gguf else Architecture(name).write(work / "model")
        cells = {
            check: {dtype: _plain(outcome(check, Architecture(name), folder, dtype, suite)) for dtype in DTYPES}
            for check in suite
        }
    except Exception as error:  # the library cannot build it
        lacking = Outcome("no", f"the library cannot build it ({type(error).__name__})")
        cells = {check: {dtype: _plain(lacking) for dtype in DTYPES} for check in suite}
    finally:
        shutil.rmtree(work, ignore_errors=True)
    kept.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(cells), encoding="utf-8")
    return cells


def _plain(found: object) -> dict[str, str]:
    return {"state": found.state, "detail": found.detail}  # type: ignore[attr-defined]


@cache
def _digest() -> str:
    """Of everything that an outcome depends on."""
    import torch
    import transformers

    words = hashlib.sha256(f"{torch.__version__} {transformers.__version__}".encode())
    suite = [
        ROOT / "tests" / f"{name}.py" for name in ("architectures", "conformance", "conformance_checks", "gguf_files")
    ]
    for path in [*sorted((ROOT / "src").rglob("*.py")), *suite]:
        words.update(path.read_bytes())
    return words.hexdigest()[:12]


def table(found: dict[str, Cells], name: str) -> str:
    """The rows of a suite, and the remarks they refer to."""
    import conformance

    suite = getattr(conformance, name)
    remarks: dict[str, int] = {}
    heads = ["architecture", *("LoRA" if check == "lora" else check for check in suite)]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row, cells in found.items():
        lines.append(f"| {row} | {' | '.join(_cell(cells[check], remarks) for check in suite)} |")
    lines += ["", *(f"{number}. {remark}" for remark, number in remarks.items())]
    return "\n".join(lines) + "\n"


def _cell(by_dtype: dict[str, dict[str, str]], remarks: dict[str, int]) -> str:
    shown = [_shown(cell, remarks) for cell in by_dtype.values()]
    return shown[0] if len(set(shown)) == 1 else f"32: {shown[0]}, 16: {shown[1]}"


def _sentence(detail: str) -> str:
    """Without what differs from architecture to architecture."""
    without_numbers = re.sub(r" \(relative difference [^)]*\)", "", detail)
    return re.sub(r"\b\w+ForSequenceClassification\b", "its sequence classifier", without_numbers).replace("|", "\\|")


def _shown(cell: dict[str, str], remarks: dict[str, int]) -> str:
    state, detail = cell["state"], _sentence(cell["detail"])
    if state == "yes":
        return "yes"
    if detail == "is not packed":
        return "padded"
    number = remarks.setdefault(detail, len(remarks) + 1)
    return f"{number}" if state == "no" else f"**{state}** {number}"


if __name__ == "__main__":
    main()
