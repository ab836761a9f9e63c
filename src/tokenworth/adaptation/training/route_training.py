"""What lora, full and scratch bring to the training loop: texts of a step, packed or padded, and their cross-entropy.

Everything a step depends on is a function of its number, the seed and the tensors in the checkpoint: order of texts,
learning rate, dropout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tokenworth.adaptation.resolved_settings import ResolvedConfig
from tokenworth.adaptation.routes.tuned_predictor import TextClassifier, trainable
from tokenworth.adaptation.training.adafactor import make_optimiser, sparse_embeddings
from tokenworth.adaptation.training.batch_cuts import Group
from tokenworth.adaptation.training.batch_packing import Packer, TextBatch
from tokenworth.adaptation.training.label_losses import summed_loss, text_weights
from tokenworth.adaptation.training.text_order import Order, learning_rate
from tokenworth.base.run_record import OtherRunError
from tokenworth.encode.long_texts import piece_rows
from tokenworth.errors import AdaptError, DivergedError, first_line
from tokenworth.probes.probability_metrics import is_better
from tokenworth.training.checkpoints import read_weights, write_weights
from tokenworth.training.devices import Compute
from tokenworth.training.learner import Learner, Position

_BEST = "best|"


@dataclass(slots=True)
class RoutePosition(Position):
    """Where the training of a route stands, and what it has counted."""

    losses: list[float] = field(default_factory=list)
    tokens: int = 0
    places: int = 0
    """Tokens computed, padding included."""
    flops: float = 0.0
    evaluations: list[dict[str, float]] = field(default_factory=list)
    best: float | None = None
    best_step: int | None = None

    def cost(self) -> dict[str, float]:
        """What the steps made so far have taken."""
        return {
            "tokens": self.tokens,
            "padded_tokens": self.places,
            "train_flops": self.flops,
            "loop_seconds": self.seconds,
        }


@dataclass(frozen=True, eq=False, slots=True)
class TrainingData:
    """What a route learns from.  N texts, C classes."""

    packer: Packer
    labels_N: np.ndarray
    """Classes, or 0 and 1 of several labels a text (N, C)."""
    counts_N: np.ndarray | None
    """Pieces of each text, in which the packer has them; None: texts are read whole."""
    class_weight_C: Tensor
    evaluate: Callable[[], dict[str, float]] | None
    """Metrics on the validation part, that it is judged by first; None where there is none."""
    identity: dict[str, str]
    """What a checkpoint must agree with to be gone on from."""


class RouteLearner(Learner):
    """A text classifier that learns from labelled texts; a row is the number of a text, or of a piece of one.

    A step takes all pieces of its texts.  Each is to be given the label of its text, by itself, and counts as its share
    of the text (docs/routes.md has why), so that memory holds few of them at a time however long the text is.
    """

    what, failure, other_run = "train", AdaptError, OtherRunError
    remedy = "choose dtype float32, or look at these texts"
    position: RoutePosition

    def __init__(
        self, classifier: TextClassifier, data: TrainingData, config: ResolvedConfig, *, seed: int, compute: Compute
    ) -> None:
        self.classifier, self.data, self.config, self.seed = classifier, data, config, seed
        self.compute, self.identity = compute, data.identity
        self.order = Order(len(data.labels_N), config.batch, seed)
        counts_N = np.ones(len(data.labels_N), dtype=np.int64) if data.counts_N is None else data.counts_N
        self.text_P = np.repeat(np.arange(len(counts_N)), counts_N)
        self.labels_P = torch.from_numpy(data.labels_N[self.text_P]).to(compute.device)
        self.share_P = None
        if data.counts_N is not None:
            self.share_P = torch.from_numpy(1 / counts_N[self.text_P]).float().to(compute.device)
        self.weights_C = data.class_weight_C.to(compute.device)
        self.model = compute.devices.prepare(self.called())
        if compute.devices.sharded:
            data.packer.in_one_pass()
        if not compute.devices.wrapped:
            sparse_embeddings(classifier)
        self.parameters = trainable(classifier)
        self.optimiser = make_optimiser(self.parameters, config)
        self.position = RoutePosition(micro_batch=config.micro_batch or config.batch)
        self.best: dict[str, Tensor] = {}
        self._share = 0.0
        self._counted = torch.zeros(3, dtype=torch.float64)  # tokens, places and FLOPs of the step

    def called(self) -> nn.Module:
        """What a pass goes through."""
        return self.classifier

    def rows(self, step: int) -> np.ndarray:
        """Numbers of the texts of a step, or of all their pieces."""
        rows, counts_N = self.order.rows(step), self.data.counts_N
        return rows if counts_N is None else piece_rows(rows, counts_N)

    def prepare(self, rows: np.ndarray, local: np.ndarray) -> None:
        """A text counts by the weight of its class; a process without one takes part in the exchange with weight 0."""
        places = torch.from_numpy(rows)
        weights_B = text_weights(self.labels_P[places], self.weights_C)
        total = float((weights_B if self.share_P is None else weights_B * self.share_P[places]).sum())
        self._share = 1 / total if len(local) else 0.0
        self._counted.zero_()
        # Dropout depends on seed, step and process alone, not on what came before.
        rank = self.compute.processes.rank
        words = np.random.SeedSequence([self.seed, self.position.step, rank]).generate_state(1, np.uint64)
        torch.manual_seed(int(words[0] >> 1))

    def groups(self, local: np.ndarray) -> list[Group]:
        """The cheapest passes."""
        return self.data.packer.plan(local, self.position.micro_batch) or [Group(np.array([0]), packed=False)]

    def loss(self, group: Group) -> tuple[Tensor, Tensor]:
        """Weighted cross-entropy of some texts (`label_losses`), as their share of the batch's mean."""
        batch = self.data.packer.batch(group)
        with self.compute.autocast(next(iter(self.parameters.values())).dtype):
            logits_BC = self.model(batch)
        places = torch.from_numpy(group.rows).to(self.compute.device)
        shares_B = None if self.share_P is None else self.share_P[places]
        loss: Tensor = self._share * summed_loss(logits_BC, self.labels_P[places], self.weights_C, shares_B)
        self._count(batch, group)
        return loss, loss.detach()

    def _count(self, batch: TextBatch, group: Group) -> None:
        """Add a pass to the counts of the step, unless it only takes part in the exchange."""
        if self._share:
            flops = self.data.packer.flops(group)
            self._counted += torch.tensor([batch.tokens, batch.places, flops], dtype=torch.float64)

    def rate(self, step: int) -> float:
        """A linear rise, then half a cosine."""
        return learning_rate(step, self.config.steps, self.config.lr, self.config.warmup_share)

    def accept(self, figures: Mapping[str, float], seconds: float) -> None:  # noqa: ARG002
        """Count the step."""
        tokens, places, flops = self._counted.tolist()
        self.position.losses.append(figures["loss"])
        self.position.tokens += int(tokens)
        self.position.places += int(places)
        self.position.flops += flops

    def watch(self) -> dict[str, float]:
        """Metrics on the validation part, every tenth of the run or `eval_steps`; the best is kept."""
        position, config = self.position, self.config
        every = config.steps_between_evaluations
        due = position.step > 0 and (position.step % every == 0 or position.step == config.steps)
        if self.data.evaluate is None or not config.keeps_best or not due:
            return {}
        values, metric = self._evaluated(self.data.evaluate), config.judged_by
        value = values[metric]
        position.evaluations.append({"step": position.step, **values})
        if is_better(metric, value, position.best):
            position.best, position.best_step = value, position.step
            # in main memory: a card holds what learns once
            self.best = {name: weights.to("cpu", copy=True) for name, weights in read_weights(self.parameters).items()}
        return {f"validation_{name}": number for name, number in values.items()}

    def _evaluated(self, evaluate: Callable[[], dict[str, float]]) -> dict[str, float]:
        """The main process's values, so that no other stops or keeps another step for a rounding."""
        found = evaluate()
        values = torch.tensor([*found.values()], dtype=torch.float64)
        self.classifier.train()
        self.compute.processes.from_main(values)
        return dict(zip(found, values.tolist(), strict=True))

    @property
    def is_done(self) -> bool:
        """After the last step, or after `patience` evaluations in a row without a better one."""
        position, patience = self.position, self.config.patience
        if position.step >= self.config.steps or patience is None or position.best_step is None:
            return position.step >= self.config.steps
        return sum(row["step"] > position.best_step for row in position.evaluations) >= patience

    def finish(self) -> None:
        """Take the weights of the best step where they are asked for; add up what every process counted."""
        if self.config.keeps_best and self.best:
            write_weights(self.parameters, self.best)
        self.classifier.eval()
        position = self.position
        counts = torch.tensor([position.tokens, position.places, position.flops], dtype=torch.float64)
        self.compute.processes.add_up(counts)
        tokens, places, position.flops = counts.tolist()
        position.tokens, position.places = int(tokens), int(places)

    def tensors(self) -> dict[str, Tensor]:
        """The weights of the best step so far."""
        return {_BEST + name: value for name, value in self.best.items()}

    def begin(self, state: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:  # noqa: ARG002
        """Take the weights of the best step before the interruption."""
        self.best = {name.removeprefix(_BEST): value for name, value in tensors.items()}

    def difference(self, kept: Any) -> str:
        """Another backbone, other texts, another PyTorch or number format."""
        before = kept if isinstance(kept, dict) else {}  # a text in checkpoints of earlier versions
        changed = [name for name, value in self.identity.items() if before.get(name) != value]
        return f"were made with another {', another '.join(changed)}" if changed else ""

    def diverged(self, sentence: str) -> DivergedError:
        """The rule's rate may have been too high."""
        return DivergedError(sentence, steps=self.position.step, cost=self.position.cost())

    def explain(self, error: Exception) -> str | None:
        """Some models write out numbers that a narrow format does not have."""
        narrow = str(self.compute.dtype).removeprefix("torch.")
        if narrow not in {"bfloat16", "float16"} or not any(x in str(error) for x in ("BFloat16", "Half", "dtype")):
            return None
        name = type(self.classifier.model).__name__
        return f"{name} cannot be trained in {narrow} ({first_line(error)}); choose dtype float32"

    def no_memory(self, size: int) -> str:
        """What can be done about a text that does not fit."""
        return (
            f"{size} text(s) of step {self.position.step + 1}; cut texts with --max-length, set micro_batch lower, or "
            "choose dtype bfloat16"
        )

    def named(self, rows: np.ndarray) -> str:
        """The texts to look at."""
        texts = dict.fromkeys(self.text_P[rows].tolist())
        return f"the batch of training texts {', '.join(map(str, texts))}"
