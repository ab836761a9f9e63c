"""What goes wrong in a forward pass: memory, numbers, disk; and what is kept, exactly, when it does."""

import errno

import numpy as np
import pytest
import torch

import tokenworth.encode.feature_file as features
from small_models import WORDS, write_folder
from tokenworth.backbones import load_backbone
from tokenworth.encode import FeatureFile, encode, pool, tokenise
from tokenworth.errors import EncodeError

TEXTS = [" ".join(WORDS[i % 60] for i in range(n)) for n in (9, 3, 30, 1, 14, 9, 2, 22, 8, 11)]
ERRORS = {
    "torch": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    "allocator": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    "windows": RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"),
    "python": MemoryError(),
}


@pytest.fixture(params=["llama", "bert", "albert"])
def backbone(request, tmp_path):
    return load_backbone(str(write_folder(tmp_path, request.param)), dtype="float32")


@pytest.fixture
def llama(tmp_path):
    return load_backbone(str(write_folder(tmp_path, "llama")), dtype="float32")


def collect(backbone, *, fail=lambda layer, rows: None, **options):
    """{(layer, row): mean state}, every delivery counted; ``fail`` may raise before a delivery is taken."""
    found, times = {}, {}

    def consume(layer, states, mask, rows):
        fail(layer, rows)
        for row, value in zip(rows.tolist(), pool(states, mask), strict=True):
            times[layer, row] = times.get((layer, row), 0) + 1
            found[layer, row] = value

    stats = encode(backbone, tokenise(backbone, TEXTS), consume, **options)
    assert times == {(layer, row): 1 for layer in range(4) for row in range(len(TEXTS))}
    return found, stats


def assert_close(a, b):
    for key, value in b.items():
        torch.testing.assert_close(a[key], value, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("layer", [0, 2, 3])
def test_out_of_memory_once_in_the_consumer(backbone, layer, error):
    calls = []

    def fail(at, rows):
        calls.append((at, len(rows)))
        if at == layer and sum(seen == layer for seen, _ in calls) == 1:
            raise ERRORS[error]

    whole, _ = collect(backbone)
    halved, stats = collect(backbone, fail=fail)
    assert_close(halved, whole)
    assert stats.halvings == 1
    assert stats.batches == 2
    # layers below the failing one were taken from the whole batch, and are not asked for again
    assert [n for at, n in calls if at < layer] == [len(TEXTS)] * layer
    assert [n for at, n in calls if at == layer] == [len(TEXTS), 5, 5]


def test_out_of_memory_inside_the_model(backbone):
    """The model holds 60 padded tokens and no more: batches shrink until they fit, and stay small."""
    sizes = []

    def limited(_module, _args, kwargs):
        sizes.append(kwargs["input_ids"].numel())
        if sizes[-1] > 60:
            raise torch.OutOfMemoryError("CUDA out of memory")

    whole, _ = collect(backbone)
    backbone.model.register_forward_pre_hook(limited, with_kwargs=True)
    halved, stats = collect(backbone)
    assert_close(halved, whole)
    assert stats.halvings == sum(size > 60 for size in sizes) > 0
    assert stats.batch_tokens <= 60 or stats.halvings == 1
    assert sizes[-1] <= 60
    assert stats.tokens == tokenise(backbone, TEXTS).n_tokens


def test_out_of_memory_in_a_block_after_layers_were_taken(llama):
    fails = iter([True, False, True])

    def limited(_module, _args):
        if next(fails, False):
            raise torch.OutOfMemoryError("CUDA out of memory")

    whole, _ = collect(llama)
    llama.structure.blocks[1].register_forward_pre_hook(limited)
    halved, stats = collect(llama)
    assert_close(halved, whole)
    assert stats.halvings == 2


def test_one_text_alone_that_does_not_fit(llama):
    def limited(_module, _args, kwargs):
        if kwargs["input_ids"].numel() > 25:
            raise torch.OutOfMemoryError("CUDA out of memory")

    llama.model.register_forward_pre_hook(limited, with_kwargs=True)
    with pytest.raises(EncodeError, match=r"text 2 with its 30 tokens does not fit .* --max-length"):
        collect(llama)


def test_other_errors_of_the_consumer_come_through(llama):
    def fail(layer, rows):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        collect(llama, fail=fail)
    assert not any(block._forward_pre_hooks for block in llama.structure.blocks)  # nothing stays behind


def test_tensors_the_consumer_makes_are_ordinary(llama):
    kept = []
    encode(llama, tokenise(llama, TEXTS), lambda _l, states, mask, _r: kept.append(pool(states, mask)))
    kept[0] += 1  # an inference tensor would refuse
    assert not kept[0].is_inference()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("family", ["llama", "bert"])
def test_states_that_are_not_finite_are_named(family, value, tmp_path):
    backbone = load_backbone(str(write_folder(tmp_path, family)), dtype="float32")
    norms = [p for name, p in backbone.structure.blocks[1].named_parameters() if "norm" in name.lower()]
    with torch.no_grad():
        norms[-1][3] = value
    with pytest.raises(EncodeError, match=r"at layer 2 are NaN or infinite in float32 \(text \d+\); the weights"):
        encode(backbone, tokenise(backbone, TEXTS), lambda *_: None)


def test_overflow_in_half_precision_advises_float32(tmp_path):
    folder = write_folder(tmp_path, "llama")
    backbone = load_backbone(str(folder), dtype="float16")
    with torch.no_grad():
        backbone.model.layers[0].mlp.down_proj.weight *= 60_000
        backbone.model.layers[0].mlp.down_proj.weight.clamp_(-6e4, 6e4)
    with pytest.raises(EncodeError, match=r"at layer 1 .* in float16 .* try --dtype float32"):
        encode(backbone, tokenise(backbone, TEXTS), lambda *_: None)


def test_damaged_numbers_in_the_padding_do_not_count(llama):
    expected, _ = collect(llama)

    def spoil(_module, _args, kwargs, output):
        output.last_hidden_state[kwargs["input_ids"] == llama.pad_id] = torch.nan
        return output

    llama.model.register_forward_hook(spoil, with_kwargs=True)
    found = {}

    def consume(layer, states, mask, rows):
        assert torch.isfinite(states).all()  # such padding is zeroed
        found.update({(layer, int(row)): value for row, value in zip(rows, pool(states, mask), strict=True)})

    encode(llama, tokenise(llama, TEXTS), consume)
    assert_close(found, expected)


def test_progress_and_stats_add_up(llama):
    seen = []
    _, stats = collect(llama, batch_tokens=40, progress=lambda done, total: seen.append((done, total)))
    total = tokenise(llama, TEXTS).n_tokens
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert len(seen) == stats.batches > 1
    assert stats.tokens == total <= stats.padded_tokens
    assert 0 < stats.consume_seconds < stats.seconds
    assert (stats.batch_tokens, stats.halvings) == (40, 0)


def test_no_texts(llama):
    stats = encode(llama, tokenise(llama, []), lambda *_: None)
    assert (stats.tokens, stats.batches) == (0, 0)


def test_features_come_back(tmp_path):
    values = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    with FeatureFile.create(tmp_path / "new", "train", [0, 4], 5, 3) as file:
        for place, layer in enumerate([0, 4]):
            file.write(layer, np.array([4, 1]), torch.from_numpy(values[place, [4, 1]]))
            file.write(layer, np.array([0, 2, 3]), values[place, [0, 2, 3]])
    opened = FeatureFile.open(tmp_path / "new", "train")
    assert opened.layers == (0, 4)
    for source in (file, opened):
        np.testing.assert_array_equal(source.layer(0), values[0])
        np.testing.assert_array_equal(source.layer(4), values[1])
    with pytest.raises(ValueError, match="read-only"):
        opened.layer(0)[0] = 1


def test_features_of_bfloat16_states(tmp_path):
    with FeatureFile.create(tmp_path, "x", [0], 1, 2) as file:
        file.write(0, np.array([0]), torch.tensor([[1.5, 2.0]], dtype=torch.bfloat16))
    assert file.layer(0).tolist() == [[1.5, 2.0]]


def test_unfinished_features_do_not_look_whole(tmp_path):
    file = FeatureFile.create(tmp_path, "train", [0], 3, 2)
    file.write(0, np.array([0, 2]), np.ones((2, 2), np.float32))
    with pytest.raises(EncodeError, match="1 texts have no features at layer 0"):
        file.layer(0)
    with pytest.raises(EncodeError, match="1 texts have no features"):
        file.close()
    assert not (tmp_path / "train.npy").exists()
    with pytest.raises(EncodeError, match="no finished features"):
        FeatureFile.open(tmp_path, "train")


def test_an_error_removes_what_was_written(tmp_path):
    with pytest.raises(KeyError), FeatureFile.create(tmp_path, "train", [0], 3, 2):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_starting_again_withdraws_the_old_features(tmp_path):
    with FeatureFile.create(tmp_path, "train", [0], 1, 1) as file:
        file.write(0, np.array([0]), np.ones((1, 1), np.float32))
    FeatureFile.create(tmp_path, "train", [0], 1, 1)
    with pytest.raises(EncodeError, match="no finished features"):
        FeatureFile.open(tmp_path, "train")


def test_full_disk_is_noticed_before_anything_is_computed(tmp_path, monkeypatch):
    def full(_path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(features, "_reserve", full)
    with pytest.raises(EncodeError, match=r"No space left on device.* needs 4 GB: make room"):
        FeatureFile.create(tmp_path, "train", [0], 10**6, 1000)
    assert list(tmp_path.iterdir()) == []


def test_the_size_is_reserved(tmp_path):
    FeatureFile.create(tmp_path, "train", [0, 1], 1000, 100)
    assert (tmp_path / "train.npy.tmp").stat().st_blocks * 512 >= 2 * 1000 * 100 * 4


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EncodeError, match="cannot be written"):
        FeatureFile.create(tmp_path / "file" / "x", "train", [0], 1, 1)
