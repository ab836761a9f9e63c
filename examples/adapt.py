"""A language model becomes a text classifier: the routes lora, full and scratch, under the papers' protocol.

    python examples/adapt.py TASK MODEL --route lora --lr 1e-3       TASK/train.csv and test.csv: columns text, label

    tokens -> states of the last layer -> [last token, mean over tokens] -> dropout -> linear -> cross-entropy
    what learns:  lora     two thin matrices beside every linear map, while the map itself is frozen
                  full     every pretrained weight
                  scratch  every weight, from random ones: what full gains over it, pretraining brought

Order, head dropout and first weights are those of `tokenworth adapt` with packing: false and dtype: float32: losses are
the same to rounding (LoRA: lora_dropout 0).  Protocol: arXiv 2505.17169.  Axes: N, M texts, B of a batch, T tokens, D.
"""

import argparse
import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer
from transformers.pytorch_utils import Conv1D


@dataclass
class Protocol:
    """Every field is an option of the command line."""

    route: str = "lora"
    steps: int = 10_000
    batch: int = 8
    lr: float = 1e-4
    warmup_share: float = 0.05
    weight_decay: float = 1e-5
    clip_threshold: float = 1.0  # root mean square of an update, inside Adafactor
    clip_norm: float = 1.0  # norm of the gradient, before it
    pooling: str = "last+mean"
    dropout: float = 0.05  # before the head
    rank: int = 32  # of LoRA; alpha is the rank, so that B A is not scaled
    lora_dropout: float = 0.05
    max_length: int = 512
    seed: int = 0


def main(task: Path, name: str, out: Path | None, protocol: Protocol) -> None:
    """Read, build, train, and read the test texts once."""
    (train, train_y), (test, test_y) = read(task / "train.csv"), read(task / "test.csv")
    classes = sorted(set(train_y))
    labels_N, labels_M = np.searchsorted(classes, train_y), np.searchsorted(classes, test_y)
    tokenizer = AutoTokenizer.from_pretrained(name)
    limit = {"truncation": True, "max_length": protocol.max_length}
    train_ids, test_ids = tokenizer(train, **limit)["input_ids"], tokenizer(test, **limit)["input_ids"]
    network = Classifier(base_model(name, protocol), len(classes), protocol)
    learning = sum(weights.numel() for weights in network.parameters() if weights.requires_grad)
    print(f"{protocol.route}: {learning:,} weights learn from {len(train):,} texts of {len(classes)} classes")
    losses = fit(network, train_ids, torch.tensor(labels_N), protocol)
    network.eval()
    with torch.no_grad():
        said_M = torch.cat([network(test_ids[i : i + 32]).argmax(1) for i in range(0, len(test), 32)]).numpy()
    f1, accuracy = weighted_f1(labels_M, said_M), float((said_M == labels_M).mean())
    print(f"loss {losses[0]:.4f} -> {losses[-1]:.4f}; {len(test):,} test texts: F1 {f1:.4f}, accuracy {accuracy:.4f}")
    if out:
        result = {"weighted_f1": f1, "accuracy": accuracy, "trainable": learning, "losses": losses}
        out.write_text(json.dumps(result | {"predictions": [classes[label] for label in said_M]}, indent=1))


def read(path: Path) -> tuple[list[str], list[str]]:
    """Texts and labels."""
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))
    return [row["text"] for row in rows], [row["label"] for row in rows]


def base_model(name: str, protocol: Protocol) -> nn.Module:
    """The model without its language head: pretrained, or random for scratch; for lora frozen, with LoRA in it."""
    config = AutoConfig.from_pretrained(name)
    is_causal = "CausalLM" in str(config.architectures)  # its embedding may lie in the head alone, where both are tied
    build = partial((AutoModelForCausalLM if is_causal else AutoModel).from_pretrained, name, dtype=torch.float32)
    if protocol.route == "scratch":
        build = partial(AutoModel.from_config, config, dtype=torch.float32)
    torch.manual_seed(protocol.seed)
    try:
        model = build(add_pooling_layer=False)  # of encoders: a last map that the head would not read
    except TypeError:
        model = build().base_model
    if protocol.route == "lora":
        model.requires_grad_(False)
        torch.manual_seed(protocol.seed)
        for path, module in list(model.named_modules()):
            if isinstance(module, nn.Linear | Conv1D):
                parent, _, own = path.rpartition(".")
                setattr(model.get_submodule(parent), own, LoRA(module, protocol.rank, protocol.lora_dropout))
    return model


class LoRA(nn.Module):
    """W x + B A dropout(x), B zero at first: training starts at the model itself.  Source: Hu et al. (2021), LoRA."""

    def __init__(self, linear: nn.Module, rank: int, dropout: float) -> None:
        super().__init__()
        n_in, n_out = linear.weight.shape if isinstance(linear, Conv1D) else linear.weight.T.shape
        self.linear, self.dropout = linear, nn.Dropout(dropout)
        self.A, self.B = nn.Linear(n_in, rank, bias=False), nn.Linear(rank, n_out, bias=False)
        nn.init.kaiming_uniform_(self.A.weight, a=math.sqrt(5))
        nn.init.zeros_(self.B.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + self.B(self.A(self.dropout(x)))


class Classifier(nn.Module):
    """Logits (B, C) = head(dropout(pooled states of the last layer))."""

    def __init__(self, model: nn.Module, n_classes: int, protocol: Protocol) -> None:
        super().__init__()
        torch.manual_seed(protocol.seed)
        self.model, self.pooling, self.dropout = model, protocol.pooling.split("+"), nn.Dropout(protocol.dropout)
        self.head = nn.Linear(len(self.pooling) * model.config.hidden_size, n_classes)

    def forward(self, texts: list[list[int]]) -> Tensor:
        ids_BT = nn.utils.rnn.pad_sequence([torch.tensor(text) for text in texts], batch_first=True)
        lengths_B = torch.tensor([len(text) for text in texts])
        mask_BT = torch.arange(ids_BT.shape[1]) < lengths_B[:, None]
        states_BTD = self.model(input_ids=ids_BT, attention_mask=mask_BT.long()).last_hidden_state
        pooled = {"last": states_BTD[torch.arange(len(texts)), lengths_B - 1]}  # padding never counts
        pooled["mean"] = (states_BTD * mask_BT[:, :, None]).sum(1) / lengths_B[:, None]
        return self.head(self.dropout(torch.cat([pooled[part] for part in self.pooling], 1)))


def fit(network: Classifier, ids: list[list[int]], labels_N: Tensor, protocol: Protocol) -> list[float]:
    """The loss of every step.  What a step does depends on its number and the seed alone."""
    parameters = [weights for weights in network.parameters() if weights.requires_grad]
    order, moments, losses = passes(len(ids), protocol.seed), {}, []
    warmup = int(protocol.warmup_share * protocol.steps)
    network.train()
    for step in range(protocol.steps):
        rows = [next(order) for _ in range(min(protocol.batch, len(ids)))]
        words = np.random.SeedSequence([protocol.seed, step, 0]).generate_state(1, np.uint64)
        torch.manual_seed(int(words[0] >> 1))  # of dropout
        loss = nn.functional.cross_entropy(network([ids[row] for row in rows]), labels_N[rows])
        network.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, protocol.clip_norm)
        cosine = math.cos(math.pi * (step - warmup) / max(1, protocol.steps - warmup))
        share = step / warmup if step < warmup else (1 + cosine) / 2  # of the rate: a line from 0, a cosine back to 0
        adafactor(parameters, moments, step + 1, share * protocol.lr, protocol)
        losses.append(loss.item())
    return losses


def passes(n_texts: int, seed: int) -> Iterator[int]:
    """Every text once in a random order, then again in another one, without end."""
    for number in count():
        yield from np.random.default_rng([seed, number]).permutation(n_texts).tolist()


@torch.no_grad()
def adafactor(parameters: list[Tensor], moments: dict, step: int, rate: float, protocol: Protocol) -> None:
    """Of a matrix's second moment only rows and columns are kept: n + m numbers instead of n m.

        row_i  = b row_i + (1 - b) mean_j (g_ij^2 + 1e-30), columns alike            b = 1 - step^-0.8
        update = g (row_i / mean(row))^-1/2 col_j^-1/2, divided by max(1, RMS(update) / clip_threshold)

    No relative step, parameter scaling or first moment.  Source: Shazeer and Stern (2018), Adafactor.
    """
    b = 1 - step**-0.8
    for place, weights in enumerate(weights for weights in parameters if weights.grad is not None):
        g = weights.grad
        square = g.square() + 1e-30
        means = [square] if g.ndim == 1 else [square.mean(-1), square.mean(-2)]
        before = moments.get(place, means)  # of no weight in the first step, where b = 0
        moments[place] = kept = [b * old + (1 - b) * new for old, new in zip(before, means, strict=True)]
        row = (kept[0] / kept[0].mean(-1, keepdim=True)).rsqrt()[..., None]
        update = g * kept[0].rsqrt() if g.ndim == 1 else g * row * kept[1].rsqrt()[..., None, :]
        rms = float(update.norm()) / math.sqrt(g.numel())
        weights.mul_(1 - rate * protocol.weight_decay).sub_(rate / max(1.0, rms / protocol.clip_threshold) * update)


def weighted_f1(true: np.ndarray, said: np.ndarray) -> float:
    """F1 = 2 hits / (texts of the class + texts said to be of it), averaged over the classes by their texts."""
    f1 = {c: 2 * ((true == c) & (said == c)).sum() / ((true == c).sum() + (said == c).sum()) for c in set(true)}
    return float(np.mean([f1[c] for c in true]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("task", type=Path)
    parser.add_argument("model")
    parser.add_argument("--out", type=Path)
    for field in fields(Protocol):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    options = vars(parser.parse_args())
    main(options.pop("task"), options.pop("model"), options.pop("out"), Protocol(**options))
