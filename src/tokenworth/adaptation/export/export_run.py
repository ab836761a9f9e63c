"""A run's classifier in a form that needs nothing of this package: transformers, ONNX, peft."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tokenworth.adaptation.export.card_usage as usage
from tokenworth.adaptation.export.export_settings import ExportSettings
from tokenworth.adaptation.export.model_card import CARD, card_of
from tokenworth.adaptation.export.onnx_export import Compared, HeldOut, write_onnx
from tokenworth.adaptation.export.onnx_libraries import require_onnx
from tokenworth.adaptation.export.peft_adapter import BASE, adapted, write_adapter
from tokenworth.adaptation.export.plain_folder import MODULE, write_plain
from tokenworth.adaptation.export.sequence_classifier import SAMPLES, export_classifier
from tokenworth.adaptation.storage.adapt_result import RESULT, AdaptResult
from tokenworth.adaptation.storage.saved_classifier import MODEL, Classifier, load_classifier
from tokenworth.base.atomic_files import whole_folder, write_json, write_text
from tokenworth.errors import AdaptError, SettingError

MARK = "tokenworth_export.json"
"""In every folder that an export wrote, and in no other: such a folder may be replaced."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export did."""

    sentences: list[str]
    """For people."""
    compared: list[Compared]
    """The classifier itself and each graph of it; empty for other formats."""

    def facts(self) -> dict[str, Any]:
        """For programs."""
        return {"sentences": self.sentences, "compared": [asdict(row) for row in self.compared]}


@dataclass(frozen=True, eq=False, slots=True)
class _Export:
    """One export on its way."""

    classifier: Classifier
    held_out: HeldOut
    settings: ExportSettings
    folder: Path
    """Written to; takes its place at the end."""
    place: Path


_Written = tuple[Exported, list[str], list[str]]
"""What was done, and the card's paragraphs on usage and form."""


def export_run(run: str | Path, to: str | Path, settings: ExportSettings, *, model: str | None = None) -> Exported:
    """Write the classifier of a run into a folder that is there only when it is whole.

    Args:
        run: the folder that `adapt` wrote.
        to: where to write; a folder that an export wrote is replaced.
        settings: in which form.
        model: where the backbone lies now; None: where it lay.

    Raises:
        SettingError: the libraries of the extra are not installed, or settings of another format are given.
        AdaptError: the classifier cannot be had in that form, or is another there; or ``to`` holds something else.
    """
    _refuse_misplaced(settings)
    if settings.format == "onnx":
        require_onnx()
    classifier, result, place = load_classifier(run, model=model), _result_of(Path(run)), Path(to)
    if classifier.thresholds is not None and settings.format != "transformers":
        raise AdaptError(f"{run} names several labels a text, which only --format transformers holds; choose that")
    with _folder(place) as part:
        export = _Export(classifier, _held_out(result, settings.texts), settings, part, place.absolute())
        exported, used, more = _WRITERS[settings.format](export)
        facts = {"exported_as": settings.format, "label_names": list(classifier.label_names)}
        write_json(part / MARK, {**facts, "temperature": classifier.temperature})
        words = "\n\n".join([f"# {place.name}", *more, *used, ""])  # a classifier whose run is not beside it
        write_text(part / CARD, words if result is None else card_of(result, used, more))
    return exported


def _refuse_misplaced(settings: ExportSettings) -> None:
    for name, form in (("int8", "onnx"), ("with_base", "peft")):
        if getattr(settings, name) and settings.format != form:
            raise SettingError(f"--{name.replace('_', '-')} belongs to --format {form}; leave one of them out")


def _result_of(run: Path) -> AdaptResult | None:
    """Of the run, or of the folder above where its `model` was named."""
    folders = [run, run.parent] if run.name == MODEL else [run]
    return next((AdaptResult.load(folder) for folder in folders if (folder / RESULT).is_file()), None)


def _held_out(result: AdaptResult | None, most: int) -> HeldOut:
    """Test texts of the run, evenly spaced; a few of our own where the run is not there."""
    if result is None:
        return HeldOut(list(SAMPLES), None)
    if "by_label" in result.confusion:  # no class a text to compare
        return HeldOut([str(text) for text in result.predictions["text"][:most]], None)
    rows = np.unique(np.linspace(0, len(result.predictions) - 1, most).astype(int))
    chosen, number = result.predictions.iloc[rows], {name: i for i, name in enumerate(result.task["label_names"])}
    return HeldOut([str(text) for text in chosen["text"]], np.array([number[label] for label in chosen["label"]]))


@contextmanager
def _folder(place: Path) -> Iterator[Path]:
    """Raises AdaptError: something that no export wrote lies there, or it cannot be written."""
    if place.is_file() or (place.is_dir() and any(place.iterdir()) and not (place / MARK).is_file()):
        raise AdaptError(f"{place} holds something that is no exported classifier; choose another folder")
    place.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(place, "the export", "make room there or choose another folder") as part:
        yield part


def _transformers(export: _Export) -> _Written:
    classifier, predictor = export.classifier, export.classifier.predictor
    try:
        apart = export_classifier(classifier, export.folder)
    except AdaptError as error:
        if classifier.thresholds is not None:  # classifier.py knows one class a text
            raise
        write_plain(classifier, export.folder)
        why = f"{export.place}: backbone and head, which {MODULE} in it loads ({_reason(classifier, error)})"
        return Exported([why], []), usage.plain_usage(adapter=False, backbone=True), []
    used = usage.checkpoint_usage(getattr(predictor, "prefix", ""), classifier.thresholds)
    return Exported([f"{export.place}: logits equal to {apart:.1e}"], []), used, []


def _reason(classifier: Classifier, error: AdaptError) -> str:
    """Why no class of the library holds it."""
    return "no class of the library reads out a layer" if classifier.predictor.kind == "probe" else str(error)


def _onnx(export: _Export) -> _Written:
    rows, facts = write_onnx(export.classifier, export.folder, export.held_out, int8=export.settings.int8)
    used, more = usage.onnx_usage(rows, facts["trained_in"], one_length=facts["one_length"])
    said = [f"{export.place}: {usage.compared_sentence(row, rows[0])}" for row in rows[1:]]
    return Exported(said, rows), used, more


def _peft(export: _Export) -> _Written:
    classifier, settings = export.classifier, export.settings
    predictor = adapted(classifier)
    try:
        name = write_adapter(classifier, export.folder, base=export.place / BASE if settings.with_base else None)
    except AdaptError as error:
        if settings.with_base or "--with-base" in str(error):
            raise
        write_plain(classifier, export.folder, keep_adapter=True)
        why = f"{export.place}: adapter and head, which {MODULE} in it loads ({_reason(classifier, error)})"
        return Exported([why], []), usage.plain_usage(adapter=True, backbone=False), []
    rank, pad_id = predictor.adapter.peft_config["default"].r, predictor.backbone.pad_id
    used = usage.adapter_usage(name, len(classifier.label_names), pad_id, rank, predictor.prefix)
    return Exported([f"{export.place}: adapter and head for {name}"], []), used, []


_WRITERS: dict[str, Callable[[_Export], _Written]] = {"transformers": _transformers, "onnx": _onnx, "peft": _peft}
