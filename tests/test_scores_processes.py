"""Context moments in pieces: over processes, layers of a batch and blocks of a product; and when one fails."""

import threading

import pytest
import torch

import slow_truth as slow
from tokenworth.scores import ContextMoments
from tokenworth.scores.context import Places, _home
from tokenworth.scores.context_batch import gram, prefix_sums


class Ranks:
    """Processes as threads: a sum and a broadcast in place, each waiting for all."""

    def __init__(self, n):
        self.barrier, self.held = threading.Barrier(n, timeout=20), [None] * n
        self.calls = [0] * n

    def _exchange(self, rank, tensor, combine):
        assert tensor.dtype == torch.float64
        self.calls[rank] += 1
        self.held[rank] = tensor.clone()
        self.barrier.wait()
        result = combine(self.held)
        self.barrier.wait()
        tensor.copy_(result)

    def run(self, work):
        """Results of work(rank, all_reduce, broadcast) by rank."""
        results = [None] * len(self.held)

        def body(rank):
            results[rank] = work(
                rank,
                lambda tensor: self._exchange(rank, tensor, lambda held: torch.stack(held).sum(0)),
                lambda tensor: self._exchange(rank, tensor, lambda held: held[0]),
            )

        threads = [threading.Thread(target=body, args=(rank,)) for rank in range(len(results))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results


def assert_equal_moments(found, expected, tolerance):
    assert (found.n_texts, found.n_pairs) == (expected.n_texts, expected.n_pairs)
    for center in (False, True):
        pairs = zip(found.second_moments(center=center), expected.second_moments(center=center), strict=True)
        for a, b in pairs:
            assert a.shape == b.shape
            assert float((a - b).abs().max() if a.numel() else 0) <= tolerance * float(
                b.abs().max() if b.numel() else 1
            )


@pytest.mark.parametrize("prefix", ["sum", "mean"])
@pytest.mark.parametrize("target_moment", [True, False])
@pytest.mark.parametrize("empty", [None, 0, 2], ids=["all-have-texts", "first-empty", "last-empty"])
def test_processes_add_up_to_one(prefix, target_moment, empty):
    """Three processes about three shifts, a mean of 1,000: 1e-9, as for any order of merging."""
    sample = slow.make_sample(21, n=30, dim=4, mean=1000.0)
    given = [rank for rank in range(3) if rank != empty]
    parts = [ContextMoments(4, prefix, target_moment=target_moment) for _ in range(3)]
    for place, rank in enumerate(given):
        parts[rank].update(*slow.padded(sample.texts[place :: len(given)]))
    before = [{name: tensor.clone() for name, tensor in part.sums.tensors().items()} for part in parts]
    ranks = Ranks(3)
    found = ranks.run(lambda rank, all_reduce, broadcast: parts[rank].reduce(all_reduce, broadcast))
    whole = slow.context_of(sample, prefix=prefix, target_moment=target_moment)
    assert_equal_moments(found[0], whole, 1e-9)
    assert ranks.calls == [13 + target_moment] * 3
    for other in found[1:]:
        assert all(torch.equal(a, found[0].sums.tensors()[name]) for name, a in other.sums.tensors().items())
    for part, old in zip(parts, before, strict=True):
        assert all(torch.equal(tensor, old[name]) for name, tensor in part.sums.tensors().items())


def test_processes_without_any_text():
    found = Ranks(2).run(lambda _rank, all_reduce, broadcast: ContextMoments(3).reduce(all_reduce, broadcast))
    assert [(moments.n_texts, moments.n_pairs) for moments in found] == [(0, 0)] * 2


def test_a_reduced_total_goes_on_from_float32_states():
    """The common shift is one that float32 holds; else what is subtracted is not what is stored, off by 1e-8 x 1000."""
    sample = slow.make_sample(22, n=40, dim=4, mean=1000.0, dtype=torch.float32)
    batches = [slow.padded(sample.texts[start : start + 10]) for start in range(0, 40, 10)]
    parts = [ContextMoments(4, "mean").update(batches[rank][0].float(), batches[rank][1]) for rank in (0, 1)]
    total = Ranks(2).run(lambda rank, *exchange: parts[rank].reduce(*exchange))[0]
    for states, mask in batches[2:]:
        total = total.update(states.float(), mask)
    expected = slow.context_moments(sample.texts, "mean", center=True)
    for found, value in zip(total.second_moments(center=True), expected, strict=True):
        assert abs(found.numpy() - value).max() <= 3e-6 * abs(value).max()


def test_float32_states_after_float64_ones():
    """The same of a shift that float64 states gave."""
    sample = slow.make_sample(23, n=40, dim=4, mean=1000.0, dtype=torch.float32)
    first, second = slow.padded(sample.texts[:5]), slow.padded(sample.texts[5:])
    found = ContextMoments(4, "mean").update(*first).update(second[0].float(), second[1])
    expected = slow.context_moments(sample.texts, "mean", center=True)
    for a, b in zip(found.second_moments(center=True), expected, strict=True):
        assert abs(a.numpy() - b).max() <= 3e-6 * abs(b).max()


@pytest.mark.parametrize("side", ["left", "right"])
def test_places_serve_every_layer_of_a_batch(side):
    sample = slow.make_sample(24, n=20, dim=5)
    states, mask = slow.padded(sample.texts, side, fill=float("nan"))
    places = Places.of(mask)
    for layer in (1.0, 2.0):
        a = ContextMoments(5).update(states * layer, places)
        b = ContextMoments(5).update(states * layer, mask)
        assert all(torch.equal(x, b.sums.tensors()[name]) for name, x in a.sums.tensors().items())
    with pytest.raises(ValueError, match="mask has shape"):
        ContextMoments(5).update(states[:, 1:], places)


@pytest.mark.parametrize("dim", [1, 2, 3, 5, 8, 13, 130])
def test_gram_is_the_whole_product(dim):
    x = torch.randn(50, dim, generator=torch.Generator().manual_seed(dim), dtype=torch.float64)
    torch.testing.assert_close(gram(x), x.T @ x, rtol=1e-13, atol=1e-12)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 16, 200])
def test_prefix_sums_in_blocks_are_cumulative_sums(length):
    """Wide enough for blocks; at most 8 additions in float32 and one of a block's start: 4 x 6e-8 of the largest."""
    x = torch.randn(3, length, 257, generator=torch.Generator().manual_seed(length))
    expected = x.double().cumsum(1)
    assert float((prefix_sums(x) - expected).abs().max() if length else 0) <= 2.5e-7 * float(
        expected.abs().max() if length else 0
    )


def test_wide_states_laid_out_in_any_way():
    """A model may hand over a transposed view; products run over the rows as they lie, so they are laid out first."""
    states = torch.randn(20, 6, 260, generator=torch.Generator().manual_seed(0)).transpose(0, 1)
    mask = torch.arange(20) < torch.tensor([[20], [19], [9], [8], [2], [1]])
    found, expected = ContextMoments(260).update(states, mask), ContextMoments(260).update(states.double(), mask)
    assert_equal_moments(found, expected, 3e-6)


@pytest.mark.parametrize("failing", range(4))
def test_running_out_of_memory_leaves_the_sums_as_they_were(monkeypatch, failing):
    """Whichever of the large steps fails."""
    sample = slow.make_sample(25, n=20, dim=5)
    moments = slow.context_of(sample)
    before = {name: tensor.clone() for name, tensor in moments.sums.tensors().items()}
    name, calls = (("gram", 1), ("gram", 2), ("prefix_sums", 1), ("shifted_pairs", 1))[failing]
    module = __import__("tokenworth.scores.context_batch", fromlist=[name])
    real, seen = getattr(module, name), []

    def fails(*args):
        seen.append(args)
        if len(seen) == calls:
            raise torch.OutOfMemoryError("out of memory")
        return real(*args)

    monkeypatch.setattr(module, name, fails)
    with pytest.raises(torch.OutOfMemoryError):
        moments.update(*slow.padded(sample.texts))
    monkeypatch.undo()
    assert all(torch.equal(tensor, before[name]) for name, tensor in moments.sums.tensors().items())
    assert moments.update(*slow.padded(sample.texts)).n_texts == 2 * 20


def test_sums_live_on_the_cpu_for_a_device_without_float64():
    assert _home(torch.device("mps")).type == "cpu"
    assert _home(torch.device("cuda", 1)) == torch.device("cuda", 1)
