"""What one forward pass says of a language model on a labelled task: every layer in closed form, the best one probed.

    python examples/assess.py TASK MODEL --out assessment.json      TASK/train.csv and test.csv: columns text, label

    state h_t = h / rms(h), each coordinate over its deviation: else a few huge ones decide (arXiv 2402.17762)
    prefix s_t = h_1 + ... + h_t  predicts h_t+1   through directions V, best first: what next-token prediction uses
    pooled text z = mean of h_t   predicts label y through W = Szz^-1 Szy: what the labels use
    NTPS      overlap of the spans of V (its first k) and W, beside its level under shuffled labels
    retained  share of the readable label signal that is left when z passes through the first k of V
    probe     ridge on z; penalty by GCV, layer by cross-fitting, so that the test texts choose nothing

The numbers are those of `tokenworth assess --pooling mean`, which adds intervals, poolings, more bags of words, and
keeps its digits in extreme states.  NTPS: arXiv 2505.17169, corrected: docs/scores.md.
Axes: N, M training and test texts, B of a batch, T tokens, P pairs (s_t, h_t+1), D width, C classes, F terms.
"""

import argparse
import csv
import io
import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.linalg import cholesky, eigh, qr, solve_triangular, svd
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer


def main(task: Path, name: str, out: Path | None, max_length: int, seed: int) -> None:
    """Read, encode, score every layer, choose one, compare."""
    (train, train_y), (test, test_y) = read(task / "train.csv"), read(task / "test.csv")
    labels_N, labels_M = (torch.from_numpy(np.searchsorted(sorted(set(train_y)), y)) for y in (train_y, test_y))
    is_causal = "CausalLM" in str(AutoConfig.from_pretrained(name).architectures)  # whose embedding may lie in the head
    model = (AutoModelForCausalLM if is_causal else AutoModel).from_pretrained(name, dtype=torch.float32).base_model
    ids = AutoTokenizer.from_pretrained(name)(train + test, truncation=True, max_length=max_length)["input_ids"]
    y_NC = nn.functional.one_hot(labels_N).double()
    rows = [{"layer": layer} | score(*sums, y_NC, labels_M, seed) for layer, sums in enumerate(encode(model, ids))]
    print(*("  ".join(f"{name} {value:.4g}" for name, value in row.items()) for row in rows), sep="\n")
    best = min(rows, key=lambda row: row["cv_loss"])
    said = {"majority": y_NC.sum(0).argmax().expand(len(test)), "bow": bag_of_words(train, y_NC, test)}
    f1 = {kind: weighted_f1(labels_M, said_M) for kind, said_M in said.items()} | {"ridge": best["probe_f1"]}
    print(f"best layer {best['layer']}; weighted F1 of", *(f"{kind} {value:.4f}" for kind, value in f1.items()))
    if out:
        probes = [{"kind": kind, "name": kind, "f1": value} for kind, value in f1.items()]
        facts = {"layers": rows, "best_layer": best["layer"], "probes": probes, "confusion": {"probe": "ridge"}}
        out.write_text(json.dumps(facts, indent=1))


def read(path: Path) -> tuple[list[str], list[str]]:
    """Texts and labels."""
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))
    return [row["text"] for row in rows], [row["label"] for row in rows]


@torch.no_grad()
def encode(model: nn.Module, ids: list[list[int]]) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Of each layer C0 = sum s s' and C1 = sum s h' (D, D), E1 = sum |h|^2 over all pairs, and z of every text."""
    n_layers, width = model.config.num_hidden_layers + 1, model.config.hidden_size
    (c0, c1), h = (torch.zeros(2, n_layers, *size, dtype=torch.float64) for size in ((width, width), (width,)))
    z, n_pairs = torch.zeros(n_layers, len(ids), width, dtype=torch.float64), sum(len(text) - 1 for text in ids)
    for rows in torch.tensor(sorted(range(len(ids)), key=lambda row: len(ids[row]))).split(32):
        ids_BT = nn.utils.rnn.pad_sequence([torch.tensor(ids[row]) for row in rows], batch_first=True)
        mask_BT = torch.arange(ids_BT.shape[1]) < (lengths_B1 := torch.tensor([[len(ids[row])] for row in rows]))
        states = model(input_ids=ids_BT, attention_mask=mask_BT.long(), output_hidden_states=True).hidden_states
        for layer, states_BTD in enumerate(states):
            h_BTD = nn.functional.rms_norm(states_BTD.double(), (width,)).where(mask_BT[:, :, None], 0)
            z[layer, rows] = h_BTD.sum(1) / lengths_B1
            prefix_PD, next_PD = h_BTD.cumsum(1)[:, :-1][mask_BT[:, 1:]], h_BTD[:, 1:][mask_BT[:, 1:]]
            c0[layer] += prefix_PD.T @ prefix_PD
            c1[layer] += prefix_PD.T @ next_PD
            h[:, layer] += torch.stack([next_PD.sum(0), next_PD.square().sum(0)])
    s = (h[1] / n_pairs - (h[0] / n_pairs) ** 2).sqrt()[:, None]
    return list(zip(c0 / s / s.mT, c1 / s / s.mT, (h[1] / s[:, 0] ** 2).sum(1), z / s, strict=True))


def score(c0: Tensor, c1: Tensor, e1: Tensor, z: Tensor, y_NC: Tensor, labels_M: Tensor, seed: int) -> dict[str, float]:
    """Everything said of one layer."""
    folds, shuffles, share = 10, 20, 0.25  # the share of D is that of the first k of V, fixed beforehand
    z_ND, z_MD = z.split([len(y_NC), len(labels_M)])
    (n, width), labels_N, rng = z_ND.shape, y_NC.argmax(1), np.random.default_rng(seed)
    v_DD, eigenvalues_D = encoder(c0, c1)
    basis_Dk = qr(v_DD / v_DD.norm(dim=0)).Q[:, : max(1, round(share * width))]
    penalty, probe_DC, offset_C = ridge(z_ND, y_NC)
    to_DR, values_R = whitening(z_ND)
    q_NR, is_regular = z_ND @ to_DR, len(values_R) == width < n  # else ridge takes the place of Szz^-1
    inverse_DN = to_DR * (values_R / (values_R + (0.0 if is_regular else penalty))) @ q_NR.T
    shuffled = [y_NC[rng.permutation(n)] for _ in range(shuffles)]
    ntps = [overlap(basis_Dk, inverse_DN @ (y - y.mean(0))) for y in (y_NC, *shuffled)]
    row = {"ntps": ntps[0], "ntps_chance": sum(ntps[1:]) / shuffles, **retained(q_NR, z_ND @ v_DD, y_NC)}
    row |= {"ar_r2": float(eigenvalues_D[: basis_Dk.shape[1]].sum() / e1), "penalty": penalty}
    dealt_N = np.lexsort((np.random.default_rng(seed).random(n), labels_N)).argsort()  # each class like cards
    said_NC, off_NC = torch.empty_like(y_NC), y_NC - (z_ND @ probe_DC + offset_C)
    t_NR = (q_NR - q_NR.mean(0)) * (
        values_R / (values_R + penalty) / n
    ).sqrt()  # the read-out is mean + T T' (y - mean)
    for fold in range(folds):  # refitted without the fold's texts, in closed form: Woodbury
        held = torch.tensor(dealt_N % folds == fold)
        t = t_NR[held]
        said_NC[held] = y_NC[held] - torch.linalg.solve(torch.eye(len(t)) - t @ t.T - 1 / n, off_NC[held])
    loss, hits = float((said_NC - y_NC).square().sum(1).mean()), float((said_NC.argmax(1) == labels_N).double().mean())
    said_M = (z_MD @ probe_DC + offset_C).argmax(1)
    return row | {"cv_loss": loss, "cv_accuracy": hits, "probe_f1": weighted_f1(labels_M, said_M)}


def overlap(basis_Dk: Tensor, weights_DC: Tensor) -> float:
    """NTPS = |P_k Q|^2 / r, Q an orthonormal basis of the span of W, r its rank: the mean squared cosine."""
    left_DC, strength_C, _ = svd(weights_DC, full_matrices=False)
    q_Dr = left_DC[:, strength_C > 1e-8 * strength_C[0]]
    return float((basis_Dk.T @ q_Dr).square().sum()) / q_Dr.shape[1] if q_Dr.shape[1] < len(q_Dr) else np.nan


def encoder(c0: Tensor, c1: Tensor) -> tuple[Tensor, Tensor]:
    """V (D, D) of the pencil (C1 C1', C0), largest eigenvalue first: reduced-rank regression (Izenman 1975)."""
    scale_D = c0.diagonal().sqrt()  # unscaled, one huge coordinate would drown the others in the ridge of 1e-8
    lower = cholesky(c0 / scale_D / scale_D[:, None] + 1e-8 * torch.eye(len(c0)))  # C0 = L L'
    left, singular, _ = svd(solve_triangular(lower, c1 / scale_D[:, None], upper=False))
    return solve_triangular(lower.T, left, upper=True) / scale_D[:, None], singular.square()


def whitening(z_ND: Tensor) -> tuple[Tensor, Tensor]:
    """A map (D, R) that gives z the covariance I, and the eigenvalues (R) of the correlations of z."""
    scale_D = z_ND.std(0, correction=0).clamp(min=1e-300)
    x_ND = (z_ND - z_ND.mean(0)) / scale_D
    values, vectors = eigh(x_ND.T @ x_ND / len(z_ND))
    kept = values > 1e-12 * values[-1]
    return vectors[:, kept] / values[kept].sqrt() / scale_D[:, None], values[kept]


def ridge(z_ND: Tensor, y_NC: Tensor, penalty: float | None = None) -> tuple[float, Tensor, Tensor]:
    """Penalty (None: by GCV), weights W and intercept b of the scores z W + b, the largest of which names the class."""
    to_DR, values_R = whitening(z_ND)
    qy_RC = (z_ND @ to_DR).T @ (y_NC - y_NC.mean(0)) / len(y_NC)
    if penalty is None:  # least GCV(p) = RSS / (1 - degrees of freedom / N)^2: Golub, Heath and Wahba (1979)
        f_PR = values_R / (values_R + (penalties_P := torch.logspace(-8, 4, 61, dtype=torch.float64))[:, None])
        rss_P = y_NC.var(0, correction=0).sum() - (2 * f_PR - f_PR**2) @ qy_RC.square().sum(1)
        x_NR = z_ND @ to_DR * values_R.sqrt()
        is_near_NN = torch.cdist(x_NR, x_NR) < (0.02 * values_R.sum()).sqrt() * (len(x_NR) < 2 * len(to_DR))
        n_apart = len(x_NR) - is_near_NN.tril(-1).any(1).sum()  # what repeats another is fitted for nothing
        left_P = 1 - (f_PR.sum(1) + 1) / n_apart  # 1: the intercept
        penalty = float(penalties_P[torch.where(left_P >= 0.3, rss_P.clamp(min=0) / left_P**2, torch.inf).argmin()])
    weights_DC = to_DR * (values_R / (values_R + penalty)) @ qy_RC
    return penalty, weights_DC, y_NC.mean(0) - z_ND.mean(0) @ weights_DC


def retained(q_NR: Tensor, zv_ND: Tensor, y_NC: Tensor) -> dict[str, float]:
    """(c_k - k s) / (c_d - d s), c_k the label variance that the first k of V' z explain: area over log k, k90."""
    (n, rank), y_NC, width = q_NR.shape, y_NC - y_NC.mean(0), zv_ND.shape[1]
    rv_RD, spare = q_NR.T @ (zv_ND - zv_ND.mean(0)), (n - rank - 1) or np.nan
    c_R = (qr(rv_RD / rv_RD.norm(dim=0)).Q.T @ (q_NR.T @ y_NC / n)).square().sum(1).cumsum(0)
    s = (y_NC.square().sum() / n - c_R[-1]) / spare  # what any direction adds, label or not (Ezekiel 1930)
    signal_R = c_R - s * torch.arange(1, rank + 1)
    if not signal_R[-1] > s * (2 * rank / (y_NC.shape[1] - 1) * (1 + rank / spare)) ** 0.5:  # its standard error
        return {"retained_auc": np.nan, "k90": np.nan}
    curve_D = torch.cat([signal_R / signal_R[-1], torch.ones(width - rank)])
    log_D, k90 = torch.arange(1, width + 1).double().log2(), int((curve_D >= 0.9).int().argmax()) + 1
    return {"retained_auc": float(torch.trapezoid(curve_D, log_D) / log_D[-1]), "k90": k90}


def bag_of_words(train: list[str], y_NC: Tensor, test: list[str]) -> Tensor:
    """What to beat: TF-IDF of words and pairs, scaled by naive Bayes (Wang and Manning 2012), logistic regression."""
    words = (re.findall(r"\w+|[^\w\s]", text.lower()) for text in train + test)
    counts = [Counter(one) + Counter(pairwise(one)) for one in words]
    texts_with = Counter(term for one in counts[: len(train)] for term in one)
    terms = [term for term, texts in texts_with.items() if texts > 1]
    count_F = torch.tensor([[one[term] for term in terms] for one in counts]).double()
    idf_F = torch.tensor([(1 + len(train)) / (1 + texts_with[term]) for term in terms]).double().log() + 1
    x = torch.where(count_F > 0, (1 + count_F.clamp(min=1).log()) * idf_F, 0.0)
    x_NF, x_MF = (x / x.norm(dim=1, keepdim=True).clamp(min=1e-300)).split([len(train), len(test)])
    inside_FC, outside_FC = (1 + (x_NF > 0).double().T @ labels_NC for labels_NC in (y_NC, 1 - y_NC))
    ratio_FC = (inside_FC / inside_FC.sum(0)).log() - (outside_FC / outside_FC.sum(0)).log()
    w_FC, b_C = torch.zeros_like(ratio_FC).requires_grad_(), torch.zeros_like(y_NC[0]).requires_grad_()
    optimiser = torch.optim.LBFGS([w_FC, b_C], max_iter=500, tolerance_grad=1e-6, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        margin_NC = (2 * y_NC - 1) * (x_NF @ (ratio_FC * w_FC) + b_C)  # each class against the rest, all at once
        value = w_FC.square().sum() / 2 - 10 * nn.functional.logsigmoid(margin_NC).sum()
        value.backward()
        return value

    optimiser.step(loss)
    return (x_MF @ (ratio_FC * w_FC) + b_C).argmax(1)


def weighted_f1(true_M: Tensor, said_M: Tensor) -> float:
    """F1 = 2 hits / (texts of a class + texts said to be of it), averaged over classes by their texts."""
    pairs = {c: (true_M == c, said_M == c) for c in set(true_M.tolist())}
    f1 = {c: 2 * int((true & said).sum()) / int(true.sum() + said.sum()) for c, (true, said) in pairs.items()}
    return sum(f1[c] for c in true_M.tolist()) / len(true_M)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("task", type=Path)
    parser.add_argument("name", metavar="model")
    for option, kind, default in (("--out", Path, None), ("--max-length", int, 512), ("--seed", int, 0)):
        parser.add_argument(option, type=kind, default=default)
    main(**vars(parser.parse_args()))
