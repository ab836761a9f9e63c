"""Our pass and closed forms against the published NTPS arithmetic, retyped here as the slow reference.

    python bench/published_ntps.py --model MODELS/wikinovels-14m --data TASKS [--widths 384 896]

The reference follows a description in words of github.com/Yu-AngCheng/NTPS (commit 0f877f7): texts in arrival order,
padded to the longest of their batch, all states of a batch at once; per text and layer the sums over prefixes as dense
T x T products; fp32; per layer two generalised eigenproblems with an absolute threshold, and for each of 19 k a
projector from a pseudo-inverse.  Ours: sorted batches, one layer at a time, prefix sums, one QR for all k.  Both fp32,
one thread, CPU seconds.  The last lines show that our "published-code" convention gives the reference's numbers.

Axes: B texts of a batch, T tokens, D width, C classes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import process_time

import numpy as np
import torch
from torch import Tensor

from tokenworth import scores
from tokenworth.backbones import Backbone, load_backbone
from tokenworth.encode import Tokens, encode, pool, tokenise
from tokenworth.scores.context import Places
from tokenworth.tasks import load_task

SHARES = [round(0.05 * step, 2) for step in range(1, 20)]
Matrices = dict[str, Tensor]


class Stopwatch(dict[str, float]):
    """CPU seconds by name."""

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Add the time of the block."""
        start = process_time()
        yield
        self[name] = self.get(name, 0.0) + process_time() - start


def main() -> None:
    """Print both tables and the agreement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of the published tasks")
    parser.add_argument("--short", type=int, default=400, help="texts of rotten_tomatoes")
    parser.add_argument("--long", type=int, default=60, help="texts of imdb")
    parser.add_argument("--batch", type=int, default=16, help="texts of a reference batch")
    parser.add_argument("--widths", type=int, nargs="+", default=[384, 896], help="widths of the closed forms")
    options = parser.parse_args()
    torch.set_num_threads(1)
    backbone = load_backbone(options.model, dtype="float32", device="cpu")
    print(f"torch {torch.__version__}, 1 CPU thread, float32, {backbone.name}; CPU seconds, reference / ours\n")
    print("| texts | tokens | forward and pooling | lag sums | closed forms | all | all, reference over ours |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name, count in (("rotten_tomatoes", options.short), ("imdb", options.long)):
        split = load_task(name, data=options.data).train
        rows = np.linspace(0, len(split.texts) - 1, count).astype(int)  # files may be sorted by class
        tokens, labels = tokenise(backbone, [split.texts[row] for row in rows]), torch.from_numpy(split.labels[rows])
        print(pass_row(f"{name}, {len(labels)}", backbone, tokens, labels, options.batch), flush=True)
    print("\n| D | reference: 19 values of k | ours: every k | ratio |\n|--:|--:|--:|--:|")
    for width in options.widths:
        print(closed_form_row(width), flush=True)
    print("\n" + agreement(backbone, tokens))


def pass_row(name: str, backbone: Backbone, tokens: Tokens, labels: Tensor, batch: int) -> str:
    """One row of the first table: whole passes over the same texts."""
    ours(backbone, tokens, labels)  # warm
    theirs_s, ours_s = reference(backbone, tokens, labels, batch), ours(backbone, tokens, labels)
    cells = [f"{theirs_s[part]:.2f} / {ours_s[part]:.2f}" for part in ("forward", "lag", "closed")]
    theirs_all, ours_all = sum(theirs_s.values()), sum(ours_s.values())
    cells += [f"{theirs_all:.1f} / {ours_all:.1f}", f"{theirs_all / ours_all:.1f}"]
    return f"| {name} | {tokens.n_tokens} | " + " | ".join(cells) + " |"


def ours(backbone: Backbone, tokens: Tokens, labels: Tensor) -> Stopwatch:
    """Seconds of our pass and of NTPS at every k and layer."""
    watch, n_classes = Stopwatch(), int(labels.max()) + 1
    layers = range(backbone.n_layers + 1)
    context = {layer: scores.ContextMoments(backbone.width, target_moment=False) for layer in layers}
    pooled = {layer: scores.PooledMoments(backbone.width, n_classes) for layer in layers}
    places: list[Places] = []

    def consume(layer: int, states: Tensor, mask: Tensor, rows: np.ndarray) -> None:
        pooled[layer] = pooled[layer].update(pool(states, mask), labels[torch.from_numpy(rows)])
        with watch("lag"):
            if layer == 0:
                places[:] = [Places.of(mask)]
            context[layer] = context[layer].update(states, places[0])

    with watch("forward"):
        encode(backbone, tokens, consume)
    watch["forward"] -= watch["lag"]
    with watch("closed"):
        for layer in layers:
            scores.ntps_curve(context[layer], pooled[layer])
    return watch


def reference(backbone: Backbone, tokens: Tokens, labels: Tensor, batch: int) -> Stopwatch:
    """Seconds of the reference's pass and scores."""
    watch, n_classes = Stopwatch(), int(labels.max()) + 1
    totals = [zeros(backbone.width, n_classes, torch.float32) for _ in range(backbone.n_layers + 1)]
    for start in range(0, len(labels), batch):
        texts = tokens.ids[start : start + batch]
        longest = max(map(len, texts))
        ids = torch.tensor([[*text, *[backbone.pad_id] * (longest - len(text))] for text in texts])
        mask = torch.arange(longest) < torch.tensor([[len(text)] for text in texts])
        one_hot = torch.nn.functional.one_hot(labels[start : start + batch], n_classes).float()
        with watch("forward"), torch.inference_mode():
            output = backbone.model(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True)
            for total, states in zip(totals, output.hidden_states, strict=True):
                add_pooled(total, states, mask, one_hot)
        with watch("lag"), torch.inference_mode():
            for total, states in zip(totals, output.hidden_states, strict=True):
                for text, real in zip(states, mask, strict=True):
                    add_lags(total, text[real])
    with watch("closed"):
        for total in totals:
            reference_scores({name: matrix / len(labels) for name, matrix in total.items()}, SHARES)
    return watch


def zeros(width: int, n_classes: int, dtype: torch.dtype) -> Matrices:
    """The reference's four sums."""
    shapes = {"M": (width, width), "XY": (width, n_classes), "C0": (width, width), "C1": (width, width)}
    return {name: torch.zeros(shape, dtype=dtype) for name, shape in shapes.items()}


def add_pooled(total: Matrices, states_BTD: Tensor, mask_BT: Tensor, one_hot_BC: Tensor) -> None:
    """Mean over real tokens of each text: its second moment and its cross moment with the labels."""
    mean_BD = (states_BTD * mask_BT[..., None]).sum(1) / mask_BT.sum(1, keepdim=True)
    total["M"] += mean_BD.T @ mean_BD
    total["XY"] += mean_BD.T @ one_hot_BC


def add_lags(total: Matrices, h_TD: Tensor) -> None:
    """s = A h with A (T-1, T) lower triangular; the T x T products A'A and A'E are written out, E picks h_{t+1}."""
    length = len(h_TD)
    if length < 2:
        return
    a = torch.ones(length - 1, length, dtype=h_TD.dtype).tril()
    e = torch.eye(length, dtype=h_TD.dtype)[1:]
    total["C0"] += h_TD.T @ ((a.T @ a) @ h_TD)
    total["C1"] += h_TD.T @ ((a.T @ e) @ h_TD)


def reference_scores(moments: Matrices, shares: list[float]) -> list[float]:
    """|P_V U_k|^2 / |U_k|^2 at shares of each side's rank, the weakest directions first, one pseudo-inverse each."""
    v = weakest_first(moments["C1"] @ moments["C1"].T, moments["C0"])
    u = weakest_first(moments["XY"] @ moments["XY"].T, moments["M"])
    found = []
    for share in shares:
        v_k, u_k = v[:, : int(share * v.shape[1])], u[:, : int(share * u.shape[1])]
        projector_DD = v_k @ torch.linalg.pinv(v_k)
        found.append(float((projector_DD @ u_k).square().sum() / u_k.square().sum()))
    return found


def weakest_first(signal_DD: Tensor, metric_DD: Tensor) -> Tensor:
    """Generalised eigenvectors, eigenvalues ascending, metric eigenvalues up to 1e-8 left out."""
    values, vectors = torch.linalg.eigh(metric_DD)
    whiten: Tensor = vectors[:, values > 1e-8] / values[values > 1e-8].sqrt()
    inner = whiten.T @ signal_DD @ whiten
    directions: Tensor = torch.linalg.eigh((inner + inner.T) / 2)[1]
    return whiten @ directions


def closed_form_row(width: int) -> str:
    """One row of the second table: scores from finished moments of random states; medians of three."""
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(2 * width // 16 + 8, 17, width, generator=generator).cumsum(1)
    labels = torch.arange(len(states)) % 4
    context = scores.ContextMoments(width, target_moment=False).update(states, torch.ones(states.shape[:2]).bool())
    pooled = scores.PooledMoments(width, 4).update(states.mean(1), labels)
    moments = {name: matrix.float() for name, matrix in uncentred(context, pooled).items()}
    times = np.array([(seconds_of_reference(moments), seconds_of_ours(context, pooled)) for _ in range(3)])
    theirs_s, ours_s = np.median(times, axis=0)
    return f"| {width} | {theirs_s:.2f} s | {ours_s:.2f} s | {np.median(times[:, 0] / times[:, 1]):.1f} |"


def seconds_of_reference(moments: Matrices) -> float:
    """CPU seconds of 19 values."""
    start = process_time()
    reference_scores(moments, SHARES)
    return process_time() - start


def seconds_of_ours(context: scores.ContextMoments, pooled: scores.PooledMoments) -> float:
    """CPU seconds of the whole curve."""
    start = process_time()
    scores.ntps_curve(context, pooled)
    return process_time() - start


def uncentred(context: scores.ContextMoments, pooled: scores.PooledMoments) -> Matrices:
    """Our moments by the reference's names, float64."""
    c0, c1, _, _ = context.second_moments()
    szz, szy, _ = pooled.second_moments(center=False)
    return {"M": szz, "XY": szy, "C0": c0, "C1": c1}


def agreement(backbone: Backbone, tokens: Tokens) -> str:
    """Largest difference between our published-code convention and the reference, float64, the last layer's states.

    With few classes most of the reference's label directions come from a null space, in whatever basis the solver
    returns; more classes than coordinates leave no null space, and the score is one number.
    """
    width, n_classes = backbone.width, backbone.width + 16
    held: list[tuple[Tensor, Tensor]] = []
    encode(backbone, tokens, lambda _l, s, m, _r: held.append((s.clone(), m)), layers=[backbone.n_layers])
    total = zeros(width, n_classes, torch.float64)
    context = scores.ContextMoments(width, target_moment=False)
    pooled, n_texts = scores.PooledMoments(width, n_classes), 0
    for states, mask in held:
        # Twenty parts a text make enough of them for that many classes.
        for piece, there in zip(states.double().tensor_split(20, 1), mask.tensor_split(20, 1), strict=True):
            kept = there.any(1)
            if not kept.any():
                continue
            part, real = piece[kept], there[kept]
            labels = torch.arange(n_texts, n_texts + len(part)) % n_classes  # every class, so of full rank
            context = context.update(part, real)
            pooled = pooled.update((part * real[..., None]).sum(1) / real.sum(1, keepdim=True), labels)
            add_pooled(total, part, real, torch.nn.functional.one_hot(labels, n_classes).double())
            for text, one in zip(part, real, strict=True):
                add_lags(total, text[one])
            n_texts += len(part)
    expected = reference_scores({name: matrix / n_texts for name, matrix in total.items()}, SHARES)
    found = [scores.ntps(context, pooled, share, convention="published-code") for share in SHARES]
    largest = max(abs(a - b) for a, b in zip(found, expected, strict=True))
    return (
        f"published-code convention against the reference, float64, {n_texts} texts, {n_classes} classes, "
        f"19 values of k: largest difference {largest:.1e} (scores {min(found):.3f} - {max(found):.3f})"
    )


if __name__ == "__main__":
    main()
