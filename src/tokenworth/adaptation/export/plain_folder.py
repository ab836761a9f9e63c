"""A classifier as a folder with a plain module beside it, for heads that no class of the library has.

    backbone/ or adapter/, head.safetensors or probe.safetensors, classifier.json, classifier.py

classifier.py is a copy of `plain_classifier`, a file that needs nothing of this package.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tokenworth.adaptation.export.onnx_network import network_of, widened
from tokenworth.adaptation.routes.probe_route import ProbePredictor
from tokenworth.adaptation.routes.tuned_predictor import TunedPredictor
from tokenworth.adaptation.storage.saved_classifier import FACTS, FORMAT, Classifier
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.errors import AdaptError

MODULE = "classifier.py"


def write_plain(classifier: Classifier, folder: Path, *, keep_adapter: bool = False) -> None:
    """Write backbone, head, facts and module; the backbone in float32, an adapter merged into it unless it is kept.

    An adapter that is kept has its backbone where it lies.  `load_classifier` reads such a folder, too.

    Raises AdaptError: the classifier holds no network, or its backbone's weights are quantised.
    """
    predictor = classifier.predictor
    if not isinstance(predictor, ProbePredictor | TunedPredictor):
        raise AdaptError(
            f"a classifier of kind {predictor.kind} holds no network that transformers could load; of a bag of words, "
            "export with --format onnx"
        )
    kept = predictor.save(folder)
    if not keep_adapter and not (folder / "backbone").is_dir():
        backbone = network_of(widened(predictor)).backbone
        model: Any = backbone.model
        with quiet_transformers():
            model.save_pretrained(folder / "backbone")
            backbone.tokenizer.save_pretrained(folder / "backbone")
        shutil.rmtree(folder / "adapter", ignore_errors=True)
        if isinstance(predictor, TunedPredictor):
            kept |= {"base": None, "dtype": "float32"}
    facts = {"format": FORMAT, "kind": predictor.kind, "label_names": list(classifier.label_names)}
    facts |= {"temperature": classifier.temperature, "predictor": kept}
    (folder / FACTS).write_text(json.dumps(facts, ensure_ascii=False, indent=1), encoding="utf-8")
    write_module(folder)


def write_module(folder: Path) -> None:
    """classifier.py."""
    text = Path(__file__).with_name("plain_classifier.py").read_text(encoding="utf-8")
    (folder / MODULE).write_text(text, encoding="utf-8")
