"""A saved classifier of tokenworth without tokenworth: torch, transformers, safetensors, and peft for an adapter.

    from classifier import load
    load(".").class_probabilities(["A text."])        # or: python classifier.py "A text."

It reads the folder it lies in (classifier.json, the head, the backbone or an adapter) and computes in float32, one text
at a time, so that padding plays no part.  Axes: T tokens, D numbers of a pooled text, C classes.
"""

from __future__ import annotations

import inspect
import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


class PlainClassifier:
    """Backbone, pooling and head, as classifier.json says."""

    def __init__(self, folder: Path, facts: dict[str, Any], model: Any, tokenizer: Any) -> None:
        from safetensors.torch import load_file

        self.facts, self.model, self.tokenizer = facts["predictor"], model.float().eval(), tokenizer
        self.label_names, self.temperature = list(facts["label_names"]), float(facts["temperature"])
        if facts["kind"] == "probe":
            arrays = load_file(folder / "probe.safetensors")
            self.weights_DC, self.intercept_C = arrays["weights"].double(), arrays["intercept"].double()
        else:
            arrays = load_file(folder / "head.safetensors")
            self.weights_DC = arrays["weight"].T.double()
            self.intercept_C = arrays.get("bias", torch.zeros(len(arrays["weight"]))).double()

    def class_probabilities(self, texts: list[str]) -> Tensor:
        """Probabilities (N, C) of texts, columns in the order of `label_names`."""
        return torch.stack([self._text_logits(text) / self.temperature for text in texts]).softmax(-1)

    def _text_logits(self, text: str) -> Tensor:
        """Of a long text that is read in pieces the mean over them: that of states read out, for the head is linear."""
        return torch.stack([self._logits(ids) for ids in self._read(self.facts["prefix"] + text)]).mean(0)

    def _read(self, text: str) -> list[list[int]]:
        """Token ids of what is read of a text: one row, or those of its pieces."""
        longest, long = self.facts["max_length"] or self.facts.get("longest"), self.facts.get("long", "first")
        if longest is None or long == "first":
            cut: dict[str, Any] = {"truncation": longest is not None, "max_length": longest}
            return [self.tokenizer(text, **cut)["input_ids"] or [self._start()]]
        whole, (before, behind) = self.tokenizer(text)["input_ids"], self._surround()
        if len(whole) <= longest:
            return [whole or [self._start()]]
        end, room = len(whole) - behind, longest - before - behind
        n, tail = end - before, {"last": room, "ends": room // 2}.get(long, 0)
        cuts = [before + n * i // -(-n // room) for i in range(-(-n // room) + 1)]
        parts = [whole[a:b] for a, b in pairwise(cuts)]
        if long != "chunks":
            parts = [whole[before : before + room - tail] + whole[end - tail : end]]
        return [whole[:before] + part + whole[end:] for part in parts]

    def _surround(self) -> tuple[int, int]:
        """How many special tokens stand before and behind a text."""
        whole, alone = (self.tokenizer("a 1 the", add_special_tokens=special)["input_ids"] for special in (True, False))
        places = range(len(whole) - len(alone) + 1)
        before = next(place for place in places if whole[place : place + len(alone)] == alone)
        return before, len(whole) - before - len(alone)

    def _logits(self, ids: list[int]) -> Tensor:
        with torch.inference_mode():
            states_TD = self._states(torch.tensor([ids]))
        how = {"mean": states_TD.mean(0), "last": states_TD[-1], "cls": states_TD[0]}
        pooled_D = torch.cat([how[name] for name in self.facts["pooling"].split("+")])
        return pooled_D.double() @ self.weights_DC + self.intercept_C

    def _states(self, ids_1T: Tensor) -> Tensor:
        """(T, D), of the layer that is read; divided by their root mean square where the head learnt on such."""
        layer = self.facts.get("layer")
        output = self.model(input_ids=ids_1T, attention_mask=torch.ones_like(ids_1T), output_hidden_states=True)
        last = layer is None or layer == len(output.hidden_states) - 1
        states_TD: Tensor = (output.last_hidden_state if last else output.hidden_states[layer])[0].float()
        if self.facts.get("states") != "normalised":
            return states_TD
        return states_TD / states_TD.square().mean(-1, keepdim=True).clamp(min=1e-30).sqrt()

    def _start(self) -> int:
        """Stands for a text without tokens."""
        tokens = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id, self.tokenizer.pad_token_id)
        return next((int(token) for token in tokens if token is not None), 0)


def load(folder: str | Path, base: str | None = None) -> PlainClassifier:
    """The classifier of a folder; ``base``: where its backbone lies now, if that is not in the folder."""
    import transformers

    place = Path(folder)
    facts = json.loads((place / "classifier.json").read_text(encoding="utf-8"))
    own = place / "backbone"
    source = str(own) if own.is_dir() else base or facts["predictor"]["base"]["name"]
    config = transformers.AutoConfig.from_pretrained(source)
    kind = getattr(transformers, (config.architectures or [""])[0], None) if own.is_dir() else None
    model: Any = (kind or transformers.AutoModel).from_pretrained(source, dtype=torch.float32)
    model = model.get_encoder() if config.is_encoder_decoder and hasattr(model, "get_encoder") else model
    if "add_pooling_layer" in inspect.signature(type(model).__init__).parameters:
        model.pooler = None  # of no use here, and names of adapted maps would mean its map, too
    if (place / "adapter").is_dir():
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, place / "adapter").merge_and_unload()
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    return PlainClassifier(place, facts, model, tokenizer)


if __name__ == "__main__":
    classifier = load(Path(__file__).parent)
    for found in classifier.class_probabilities(sys.argv[1:]).tolist():
        sys.stdout.write(json.dumps(dict(zip(classifier.label_names, found, strict=True)), ensure_ascii=False) + "\n")
