"""How to classify with an exported ONNX folder and nothing of this package: the card shows this very function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def load_onnx(folder: str, model: str = "model.onnx", threads: int = 0) -> Callable[[list[str]], Any]:
    """A function from N texts to probabilities (N, C), by numpy, onnxruntime and tokenizers alone; 0 threads: all."""
    import json
    from pathlib import Path

    import numpy as np
    from onnxruntime import InferenceSession, SessionOptions
    from tokenizers import Tokenizer

    place = Path(folder)
    facts = json.loads((place / "classifier.json").read_text(encoding="utf-8"))
    options = SessionOptions()
    options.intra_op_num_threads = threads
    session = InferenceSession(str(place / model), options, providers=["CPUExecutionProvider"])
    tokenizers = {name: Tokenizer.from_file(str(place / how["tokenizer"])) for name, how in facts["inputs"].items()}

    def class_probabilities(texts: list[str]) -> Any:
        feed: dict[str, Any] = {}
        for name, how in facts["inputs"].items():
            encoded = tokenizers[name].encode_batch([facts["prefix"] + text for text in texts])
            rows = [text.ids or [how["empty"]] for text in encoded]
            ids = np.full((len(rows), max(map(len, rows))), how["pad"], dtype=np.int64)
            mask = np.zeros_like(ids)
            for row, tokens in enumerate(rows):
                ids[row, : len(tokens)], mask[row, : len(tokens)] = tokens, 1
            feed |= {name: ids, "attention_mask": mask} if how["mask"] else {name: ids}
        return session.run(["probabilities"], feed)[0]

    return class_probabilities
