"""What the card of each form says of loading it: only what needs nothing of this package, and then what does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenworth.adaptation.export.model_card import CARD, card_of, source_of, table
from tokenworth.adaptation.export.onnx_export import GRAPH_8, Compared
from tokenworth.adaptation.export.onnx_usage import load_onnx
from tokenworth.adaptation.export.plain_folder import MODULE, write_module
from tokenworth.adaptation.storage.adapt_result import AdaptResult
from tokenworth.adaptation.tuning_settings import BESIDE_WEIGHTS
from tokenworth.base.atomic_files import write_text

_CALLED = ["class_probabilities = load_onnx('.')", "print(class_probabilities(['A text.', 'Another.']))"]


def write_saved_card(folder: Path, kind: str, result: AdaptResult) -> None:
    """README.md beside a classifier that `adapt` saved, and the module that loads it where it has a network.

    Raises TokenworthError: it cannot be written.
    """
    usage = ["With this package: `tokenworth predict OUT new.csv`, or `load_classifier(OUT).predict(texts)`."]
    if "by_label" in result.confusion:
        usage.append(
            "Without it: what trained a network, by `tokenworth export OUT FOLDER`, where transformers has its class."
        )
    elif result.route == "lora" and result.settings.get("tuning") in BESIDE_WEIGHTS:
        usage.append(
            "Without it: peft reads adapter/ of a soft prompt, a prefix or P-tuning; head.safetensors is the rest."
        )
    elif kind in {"probe", "tuned"}:
        write_module(folder)
        usage = [*plain_usage(adapter=(folder / "adapter").is_dir(), backbone=(folder / "backbone").is_dir()), *usage]
    elif kind == "bow":
        usage.append(
            "Without it: once `tokenworth export OUT FOLDER --format onnx`; then onnxruntime and tokenizers do."
        )
    else:
        usage.append("Without it: classifier.json holds the template, the words of the classes and the examples.")
    write_text(folder / CARD, card_of(result, usage))


def plain_usage(*, adapter: bool, backbone: bool) -> list[str]:
    """Of a folder with classifier.py in it."""
    needs = "torch, transformers, peft and safetensors" if adapter else "torch, transformers and safetensors"
    where = " The backbone lies where the protocol says; `load('.', base=FOLDER)` names another place."
    where = "" if backbone else where
    code = ["from classifier import load", "", "print(load('.').class_probabilities(['A text.', 'Another.']))"]
    return [
        f"With {needs} alone, in this folder:",
        _code(code),
        f"`{MODULE}` computes in float32, one text at a time; read it to see what the classifier does.{where}",
    ]


def onnx_usage(rows: Sequence[Compared], trained_in: str, *, one_length: bool) -> tuple[list[str], list[str]]:
    """Usage, and what was compared, of an ONNX folder."""
    code = [source_of(load_onnx), "", "", *_CALLED]
    usage = ["With numpy, onnxruntime and tokenizers alone, in this folder:", _code(code)]
    usage.append("Columns are in the order of label_names in classifier.json; the temperature is in the graph.")
    if any(row.form == GRAPH_8 for row in rows):
        usage.append(f"`load_onnx('.', '{GRAPH_8}')` runs the graph with weights of 8 bits.")
    if one_length:
        usage.append("The states of this model depend on padding: give it one text a call.")
    heads = ("graph", "MB", "weighted F1", "largest difference", "same class", "CPU seconds")
    shown = [_row(row) for row in rows]
    said = f"Weights are float32; the classifier itself computes in {trained_in}."
    return usage, ["## In ONNX", said, table(shown, heads)]


def compared_sentence(row: Compared, own: Compared) -> str:
    """A graph beside the classifier itself, in words."""
    lost = ""
    if row.weighted_f1 is not None and own.weighted_f1 is not None:
        lost = f", weighted F1 {row.weighted_f1:.4f} where the classifier has {own.weighted_f1:.4f}"
    return (
        f"{row.form} ({row.megabytes:.1f} MB): probabilities differ by up to {row.largest:.1e}, {row.same:.1%} of the "
        f"texts get the same class{lost}"
    )


def _row(row: Compared) -> list[str]:
    f1 = "" if row.weighted_f1 is None else f"{row.weighted_f1:.4f}"
    size = f"{row.megabytes:.1f}" if row.megabytes else ""
    return [row.form, size, f1, f"{row.largest:.2g}", f"{row.same:.4f}", f"{row.cpu_seconds:.2f}"]


def checkpoint_usage(prefix: str, thresholds: Sequence[float] | None = None) -> list[str]:
    """Of a folder that the library's own class reads; with thresholds of several labels a text."""
    code = [
        "from transformers import AutoModelForSequenceClassification, AutoTokenizer",
        "",
        "model = AutoModelForSequenceClassification.from_pretrained('.').eval()",
        "tokenizer = AutoTokenizer.from_pretrained('.')",
        f"text = {prefix + 'A text.'!r}",
        "logits = model(**tokenizer(text, return_tensors='pt', return_token_type_ids=False)).logits",
        *(_ONE if thresholds is None else _several(thresholds)),
    ]
    squashed = "softmax" if thresholds is None else "sigmoid"
    told = f"The temperature is in the head, so the {squashed} of the logits is calibrated as the run's was."
    return [_code(code), told]


_ONE = ["print(model.config.id2label[int(logits.argmax())], logits.softmax(-1))"]


def _several(thresholds: Sequence[float]) -> list[str]:
    """Labels from their thresholds on."""
    return [
        f"thresholds = {[round(value, 6) for value in thresholds]}",
        "chances = logits[0].sigmoid().tolist()",
        "print([model.config.id2label[i] for i, chance in enumerate(chances) if chance >= thresholds[i]], chances)",
    ]


def adapter_usage(base: str, n_classes: int, pad_id: int, rank: int, prefix: str) -> list[str]:
    """Of an adapter with its head."""
    code = [
        "from peft import AutoPeftModelForSequenceClassification",
        "from transformers import AutoTokenizer",
        "",
        "model = AutoPeftModelForSequenceClassification.from_pretrained(",
        f"    '.', num_labels={n_classes}, pad_token_id={pad_id}",
        ").eval()",
        "tokenizer = AutoTokenizer.from_pretrained('tokenizer')",
        f"text = {prefix + 'A text.'!r}",
        "print(model(**tokenizer(text, return_tensors='pt', return_token_type_ids=False)).logits.softmax(-1))",
    ]
    served = (
        f"The base is `{base}`. In vLLM the base must be a sequence classifier of {n_classes} classes (export with "
        "`--with-base` writes one to base/): `vllm serve base --runner pooling --enable-lora --max-lora-rank "
        f"{rank} --lora-modules NAME=.`; this was not tried where the card was written."
    )
    return [_code(code), served]


def _code(lines: list[str]) -> str:
    return "\n".join(["```python", *lines, "```"])
