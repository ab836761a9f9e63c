"""What an assessment is: plain data that can be saved, read again and shown by anything.

Rows are dictionaries with stated keys: users read them by name and put them into tables.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import pandas as pd
from typing_extensions import NotRequired, TypedDict

from tokenworth.base.codec import Result
from tokenworth.base.schema import COUNT, FINITE, MEASURED, WHOLE, Count, Each, Facts, Finite, Number, Settings

FIRST_COLUMNS = (
    "layer",
    "ntps",
    "retained_auc",
    "k90",
    "ar_r2",
    "probe_accuracy",
    "probe_f1",
    "hscore",
    "logme",
    "knn_accuracy",
)
LayerRow = Annotated[dict[str, float], Each(MEASURED, {"layer": WHOLE, **dict.fromkeys(FIRST_COLUMNS[1:], MEASURED)})]
"""Scores of a layer by name: M, with M_low and M_high (95 % interval) and M_chance (by shuffled labels)."""
Curves = dict[str, list[float]]
_CLASSES = {"classes": {"train": [COUNT], "test": [COUNT]}}


class Parts(TypedDict):
    """A number of training texts, and one of test texts."""

    train: Count
    test: Count


class TokenCounts(TypedDict):
    """Tokens of the texts of one part."""

    total: Count
    mean: Finite
    max: Count
    truncated: Count
    one_token: NotRequired[Count]
    empty: NotRequired[Count]


class PartTokens(TypedDict):
    """Tokens of both parts."""

    train: TokenCounts
    test: TokenCounts


class TaskCard(TypedDict):
    """What is kept of a task."""

    name: str
    source: NotRequired[str]
    label_names: list[str]
    texts: Parts
    counts: Annotated[dict[str, Any], _CLASSES]
    """As `tasks.task.count` makes them."""
    notes: NotRequired[list[str]]
    fingerprint: str
    seed: NotRequired[int]
    tokens: PartTokens


class BackboneCard(TypedDict):
    """What is kept of a backbone."""

    name: str
    source: NotRequired[str]
    n_layers: Count
    width: Count
    n_parameters: Count
    dtype: str
    device: NotRequired[str]
    causal: bool
    random: bool
    max_length: NotRequired[int | None]
    fingerprint: str
    notes: NotRequired[list[str]]


class ProbeRow(TypedDict):
    """A probe or a baseline on the test texts."""

    name: str
    kind: str
    """ridge, logistic, bow or majority."""
    layer: int | None
    pooling: NotRequired[str | None]
    """That it reads: mean, last, cls or last+mean; None where there is no layer."""
    states: NotRequired[str | None]
    """normalised or raw."""
    accuracy: Number
    accuracy_low: NotRequired[Number]
    accuracy_high: NotRequired[Number]
    f1: Number
    f1_low: NotRequired[Number]
    f1_high: NotRequired[Number]
    macro_f1: NotRequired[Number]
    macro_f1_low: NotRequired[Number]
    macro_f1_high: NotRequired[Number]
    seconds: NotRequired[float | None]
    cv_accuracy: NotRequired[Number]
    """By which the best probe is chosen."""
    setting: NotRequired[Any]
    n_features: NotRequired[Any]
    """Of the bag of words."""
    inverse_penalty: NotRequired[Any]
    converged: NotRequired[Any]
    """Of the logistic regression."""


class FittedProbe(ProbeRow):
    """A probe with what it predicts for each test text (`label_kinds.as_lists`), which no file keeps by probe."""

    predictions: list[Any]


class PoolingRow(TypedDict):
    """The ridge probe of a layer's states pooled in one way."""

    layer: Count
    pooling: str
    states: str
    """normalised or raw."""
    cv_loss: Number
    """Mean squared error over one-hot labels on the training texts it did not see, by which the best is chosen."""
    cv_accuracy: Number
    accuracy: Number
    f1: Number
    """Weighted, like accuracy on the test texts."""


class LabelRow(TypedDict):
    """One of several labels: test texts that have it, that were given it, and both; its F1 and its threshold."""

    label: str
    texts: Count
    predicted: Count
    right: Count
    f1: Finite
    f1_low: Finite
    f1_high: Finite
    threshold: NotRequired[Finite]


class Confusion(TypedDict):
    """The confusion matrix of the best probe: rows are true classes, columns predicted ones; of several labels a text
    there is none, but every label by itself.
    """

    probe: str
    labels: list[str]
    counts: list[list[Count]]
    by_label: NotRequired[list[LabelRow]]


class Flag(TypedDict):
    """A reason not to trust a score, at one layer or (None) at all."""

    layer: int | None
    score: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Assessment(Result):
    """One backbone on one task after one forward pass.  Every field is JSON-able; a number that does not exist is NaN.

    A score M of a layer stands in its row as M, with M_low and M_high (95 % interval) and M_chance (its level under
    shuffled labels) where they exist.
    """

    FILE: ClassVar[str] = "assessment.json"
    HOLDS: ClassVar[str] = "assessment"
    REMEDY: ClassVar[str] = "run tokenworth assess again"

    task: TaskCard
    """Name, classes, counts of texts and tokens by part, and fingerprint of the task."""
    backbone: BackboneCard
    """Name, layers, width, parameters, number format and fingerprint of the backbone."""
    settings: Settings
    """Every setting of the call, defaults among them, by name."""
    layers: list[LayerRow]
    """One row a layer, with `layer` (0: the embedding output) and its scores by name."""
    best_layer: int
    """Chosen on training texts only."""
    best_pooling: str = "mean"
    """Chosen together with the layer, and with it whether its states were normalised before."""
    best_states: str = "raw"
    """What the best probe reads: normalised (each state over its root mean square) or raw."""
    poolings: list[PoolingRow] = field(default_factory=list)
    """The probe of every layer and pooling that was tried."""
    nested_accuracy: Number = math.nan
    """Cross-fitted accuracy where each fold's layer and pooling are chosen without it: no matter among how many."""
    best_layer_frequency: Annotated[dict[str, float], Each(FINITE)]
    """How often each layer was best when one group of training texts was left out."""
    curves: Curves
    """At the best layer, over k = 1 .. D."""
    spectrum: Curves
    """At the best layer, descending: `pooled`, shares of the pooled texts' variance; `context`, shares of the energy of
    next states that each autoregressive direction explains."""
    probes: list[ProbeRow]
    """Probes and baselines with their figures on the test texts: majority, bag of words, ridge and logistic."""
    confusion: Confusion
    """True against predicted classes of the best probe on the test texts."""
    predictions: list[Any]
    """Class, or list of labels, predicted for each test text by the best probe, in the order of the test part."""
    flags: list[Flag]
    """Where a number means nothing, and why."""
    sentences: list[str]
    """The answer in plain words, as the page and the terminal show it."""
    timings: Annotated[dict[str, float], {"total": FINITE}]
    """Seconds of load, tokenise, encode, scores, probes and their total; "encode: ..." are parts of encode."""
    environment: Facts
    """Versions of the libraries, the machine and its device."""
    forward_pass: Facts = field(default_factory=dict)
    """How the pass went, over all its sessions: reused, tokens, padded_tokens, batches, halvings, passes, processes,
    and seconds of forward, pooling, moments and checkpoints."""

    @property
    def several(self) -> bool:
        """Whether texts may have several labels."""
        return "by_label" in self.confusion

    def table(self) -> pd.DataFrame:
        """One row a layer, the main scores first."""
        frame = pd.DataFrame(self.layers)
        rest = [column for column in frame.columns if column not in FIRST_COLUMNS]
        return frame[[*FIRST_COLUMNS, *rest]]

    def tables(self) -> dict[str, pd.DataFrame]:
        """layers.parquet, which is `table`."""
        return {"layers.parquet": self.table()}

    def row(self, layer: int | None = None) -> LayerRow:
        """The scores of a layer, the best one by default."""
        wanted = self.best_layer if layer is None else layer
        return next(row for row in self.layers if row["layer"] == wanted)

    def best_probe(self) -> ProbeRow:
        """The probe whose confusion and predictions are kept."""
        return next(probe for probe in self.probes if probe["name"] == self.confusion["probe"])

    def summary(self) -> dict[str, Any]:
        """The few figures that answer the question, with names as in `table`."""
        row, best = self.row(), self.best_probe()
        baselines = {probe["kind"]: probe for probe in self.probes if probe["kind"] in ("bow", "majority")}
        return {
            "task": self.task["name"],
            "backbone": self.backbone["name"],
            "best_layer": self.best_layer,
            **{name: row[name] for name in FIRST_COLUMNS if name != "layer"},
            "best_probe": best["name"],
            "best_probe_f1": best["f1"],
            "best_probe_accuracy": best["accuracy"],
            "bow_f1": baselines["bow"]["f1"],
            "bow_accuracy": baselines["bow"]["accuracy"],
            "majority_accuracy": baselines["majority"]["accuracy"],
            "seconds": self.timings["total"],
            "sentences": self.sentences,
        }

    def contradiction(self) -> str | None:
        """What in it does not go together, as a clause, if something does not."""
        names, counts = self.confusion["labels"], self.confusion["counts"]
        if self.best_layer not in {row["layer"] for row in self.layers}:
            return f"best_layer {self.best_layer} is none of its layers"
        if not {"bow", "majority"} <= {probe["kind"] for probe in self.probes}:
            return "the probes bow and majority are not there"
        if self.confusion["probe"] not in {probe["name"] for probe in self.probes}:
            return f"confusion.probe {self.confusion['probe']!r} is none of its probes"
        if counts and [len(row) for row in counts] != [len(names)] * len(names):
            return f"the confusion matrix is not one of {len(names)} classes"
        known = range(len(self.task["label_names"]))
        if any(label not in known for said in self.predictions for label in (said if self.several else [said])):
            return "predictions name a class that is not there"
        return None
