"""Moments on disk, and what the moments refuse."""

import json

import pytest
import torch
from safetensors.torch import save_file

import slow_truth as slow
from test_scores_moments import assert_same
from tokenworth.scores import ContextMoments, PooledMoments


@pytest.mark.parametrize("target_moment", [True, False])
def test_context_survives_the_disk(tmp_path, target_moment):
    sample = slow.make_sample(13, n=20, dim=3, mean=10.0)
    moments = slow.context_of(sample, prefix="mean", target_moment=target_moment)
    moments.save(tmp_path / "context.safetensors")
    loaded = ContextMoments.load(tmp_path / "context.safetensors")
    assert (loaded.dim, loaded.prefix, loaded.target_moment) == (3, "mean", target_moment)
    for a, b in zip(moments.second_moments(), loaded.second_moments(), strict=True):
        assert torch.equal(a, b)
    batch = slow.padded(sample.texts)
    assert_same(loaded.update(*batch), moments.update(*batch), 0)  # and goes on as if never saved
    assert [path.name for path in tmp_path.iterdir()] == ["context.safetensors"]


def test_pooled_survives_the_disk(tmp_path):
    moments = slow.pooled_of(slow.make_sample(14, n=20, dim=3, mean=10.0))
    moments.save(str(tmp_path / "pooled"))
    loaded = PooledMoments.load(str(tmp_path / "pooled"))
    assert (loaded.dim, loaded.n_classes) == (3, 3)
    assert_same(loaded, moments, 0)


@pytest.mark.parametrize("keep", [0, 5, 300, -1])
def test_a_damaged_file_says_so(tmp_path, keep):
    path = tmp_path / "pooled"
    slow.pooled_of(slow.make_sample(15, n=20, dim=3)).save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"pooled is damaged or cut short .*; compute the moments again"):
        PooledMoments.load(path)


def test_a_file_of_another_kind_says_so(tmp_path):
    sample = slow.make_sample(16, n=20, dim=3)
    slow.context_of(sample).save(tmp_path / "context")
    with pytest.raises(ValueError, match=r"context holds context moments, not pooled moments"):
        PooledMoments.load(tmp_path / "context")
    save_file({"weight": torch.zeros(2)}, tmp_path / "model")
    with pytest.raises(ValueError, match=r"model holds no moments, not context moments"):
        ContextMoments.load(tmp_path / "model")
    save_file({"weight": torch.zeros(2)}, tmp_path / "other", metadata={"tokenworth": json.dumps({"kind": "mess"})})
    with pytest.raises(ValueError, match=r"other holds mess, not context moments"):
        ContextMoments.load(tmp_path / "other")
    with pytest.raises(FileNotFoundError):
        ContextMoments.load(tmp_path / "absent")


# --- what does not fit


@pytest.mark.parametrize(
    ("states", "mask", "message"),
    [
        (torch.zeros(2, 3, 5), torch.ones(2, 3).bool(), r"states have shape \(2, 3, 5\); expected \(B, T, 4\)"),
        (torch.zeros(3, 4), torch.ones(3).bool(), r"states have shape \(3, 4\)"),
        (torch.zeros(2, 3, 4), torch.ones(2, 2).bool(), r"mask has shape \(2, 2\) .*expected \(2, 3\)"),
        (torch.zeros(2, 3, 4), torch.ones(2, 3), r"dtype torch.float32; expected \(2, 3\) and torch.bool"),
    ],
)
def test_states_and_masks_that_do_not_fit(states, mask, message):
    with pytest.raises(ValueError, match=message):
        ContextMoments(4).update(states, mask)


@pytest.mark.parametrize(
    ("pooled", "labels", "message"),
    [
        (torch.zeros(2, 5), torch.tensor([0, 1]), r"pooled has shape \(2, 5\) .*expected \(B, 4\) and \(B,\)"),
        (torch.zeros(2, 4), torch.tensor([0, 1, 1]), r"labels \(3,\); expected"),
        (torch.zeros(2, 4), torch.tensor([0, 2]), r"labels run from 0 to 2; with 2 classes they are 0 to 1"),
        (torch.zeros(2, 4), torch.tensor([-1, 1]), r"labels run from -1 to 1"),
    ],
)
def test_pooled_texts_and_labels_that_do_not_fit(pooled, labels, message):
    moments = PooledMoments(4, 2)
    with pytest.raises(ValueError, match=message):
        moments.update(pooled, labels)
    assert moments.n_texts == 0


def test_moments_that_do_not_go_together():
    with pytest.raises(ValueError, match=r"prefix is 'sum' or 'mean', not 'last'"):
        ContextMoments(3, "last")
    with pytest.raises(ValueError, match=r"width 3, prefix 'sum' do not go with width 3, prefix 'mean'"):
        ContextMoments(3) + ContextMoments(3, "mean")
    with pytest.raises(ValueError, match=r"width 3, .* do not go with width 4"):
        ContextMoments(3) - ContextMoments(4)
    with pytest.raises(ValueError, match=r"collected with target_moment=False"):
        ContextMoments(3) + ContextMoments(3, target_moment=False)
    with pytest.raises(ValueError, match=r"width 3 and 2 classes do not go with width 3 and 3 classes"):
        PooledMoments(3, 2) + PooledMoments(3, 3)
