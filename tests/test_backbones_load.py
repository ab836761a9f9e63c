"""What a name may be, what must be refused, and in which words."""

import json
import logging
import pickle
import shutil

import pytest
import torch
import transformers

from small_models import write_folder, write_model, write_tokenizer
from tokenworth.backbones import PUBLISHED, load_backbone, resolve_device, resolve_dtype
from tokenworth.errors import BackboneError, SettingError


@pytest.fixture
def llama(tmp_path):
    return write_folder(tmp_path / "llama", "llama")


def message(name, **options):
    with pytest.raises((BackboneError, SettingError)) as caught:
        load_backbone(str(name), dtype=options.pop("dtype", "float32"), **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


def edit_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_weights_are_those_of_the_file(llama):
    expected = transformers.AutoModel.from_pretrained(llama).state_dict()
    found = load_backbone(str(llama), dtype="float32").model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in found)


def test_random_twin_needs_no_weights_and_leaves_the_random_state(llama):
    (llama / "model.safetensors").unlink()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    twin = load_backbone(f"{llama}@random", dtype="float32", seed=1)
    assert torch.equal(torch.rand(3), expected)
    assert twin.random
    assert twin.name.endswith("@random")
    same, other = (load_backbone(f"{llama}@random", dtype="float32", seed=seed) for seed in (1, 2))
    weights = [b.model.embed_tokens.weight for b in (twin, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert 0.28 < weights[0].std().item() < 0.32  # the configuration's own initializer_range, 0.3


def test_random_twin_in_bfloat16_is_the_rounded_one(llama):
    whole, rounded = (load_backbone(f"{llama}@random", dtype=dtype) for dtype in ("float32", "bf16"))
    a, b = whole.model.embed_tokens.weight, rounded.model.embed_tokens.weight
    assert b.dtype == rounded.dtype == torch.bfloat16
    assert torch.equal(a.bfloat16(), b)
    assert torch.equal(whole.model.rotary_emb.inv_freq, rounded.model.rotary_emb.inv_freq)


def test_fingerprint_is_of_the_content_alone(llama, tmp_path):
    def of(folder, **options):
        return load_backbone(str(folder), dtype="float32", **options).fingerprint

    copy = shutil.copytree(llama, tmp_path / "copy")
    assert of(llama) == of(copy) == load_backbone(str(copy), dtype="bf16").fingerprint
    write_model(copy, "llama", seed=1)
    assert of(llama) != of(copy)
    twins = {of(f"{llama}@random", seed=seed) for seed in (0, 1)}
    assert len(twins | {of(llama)}) == 3


def test_loading_is_silent_and_restores_the_library_settings(llama, capfd):
    from transformers.utils import logging as library

    before = library.get_verbosity(), library.is_progress_bar_enabled()
    load_backbone(str(llama), dtype="float32")
    assert (library.get_verbosity(), library.is_progress_bar_enabled()) == before
    assert before[0] < logging.CRITICAL
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_shards_are_loaded_and_a_missing_one_is_named(llama):
    transformers.AutoModel.from_pretrained(llama).save_pretrained(llama, max_shard_size="20KB")
    (llama / "model.safetensors").unlink(missing_ok=True)
    shards = sorted(llama.glob("model-*.safetensors"))
    assert len(shards) > 1
    load_backbone(str(llama), dtype="float32")
    shards[1].unlink()
    text = message(llama)
    assert str(shards[1]) in text
    assert "missing" in text


def test_pickled_weights_only_with_the_flag(llama):
    model = transformers.AutoModel.from_pretrained(llama)
    torch.save(model.state_dict(), llama / "pytorch_model.bin")
    (llama / "model.safetensors").unlink()
    text = message(llama)
    assert "pytorch_model.bin" in text
    assert "--allow-pickle" in text
    loaded = load_backbone(str(llama), dtype="float32", allow_pickle=True).model
    assert torch.equal(loaded.embed_tokens.weight, model.embed_tokens.weight)


class _Payload:
    def __reduce__(self):
        return exec, ("raise SystemExit('code of the model ran')",)


def test_the_flag_still_runs_no_code(llama):
    (llama / "model.safetensors").unlink()
    with (llama / "pytorch_model.bin").open("wb") as file:
        pickle.dump((_Payload(), bytes(200_000)), file)
    assert "cannot be loaded" in message(llama, allow_pickle=True)


@pytest.mark.parametrize("keep", [0, 4, 300, -1], ids=["empty", "no header", "half a header", "one byte short"])
def test_cut_safetensors(llama, keep):
    path = llama / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    text = message(llama)
    assert str(path) in text
    assert "fetch it again" in text


def test_garbage_in_the_header(llama):
    path = llama / "model.safetensors"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 99\n")
    assert "corrupted" in message(llama)


def test_missing_tensors_are_no_silent_random_weights(llama):
    from safetensors.torch import load_file, save_file

    weights = load_file(llama / "model.safetensors")
    gone = weights.pop("layers.1.self_attn.q_proj.weight", None)
    assert gone is not None
    save_file(weights, llama / "model.safetensors", metadata={"format": "pt"})
    text = message(llama)
    assert "lack 1 tensors" in text
    assert "layers.1.self_attn.q_proj.weight" in text


def test_tensors_of_another_size(llama):
    edit_config(llama, intermediate_size=52)
    assert "cannot be loaded" in message(llama)


def test_no_weights(llama):
    (llama / "model.safetensors").unlink()
    text = message(llama)
    assert "no weights" in text
    assert "@random" in text


def test_no_tokenizer(tmp_path):
    write_model(tmp_path, "llama")
    text = message(tmp_path)
    assert "no tokenizer" in text
    assert "tokenizer.json" in text


def test_tokenizer_without_vocabulary(tmp_path):
    write_model(tmp_path, "llama")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer"}))
    text = message(tmp_path)
    assert "tokenizer" in text
    assert "put its tokenizer.json into" in text


def test_damaged_tokenizer(llama):
    (llama / "tokenizer.json").write_text("{")
    assert "cannot be read" in message(llama)


def test_configuration_that_contradicts_itself(llama):
    edit_config(llama, num_key_value_heads=3)
    text = message(f"{llama}@random")
    assert "does not run on a short text" in text
    assert "config.json" in text


def test_no_config(llama):
    (llama / "config.json").unlink()
    assert "no config.json" in message(llama)


def test_damaged_config(llama):
    (llama / "config.json").write_text("{")
    assert "fetch it again" in message(llama)


def test_code_that_comes_with_a_model_is_never_run(llama):
    edit_config(llama, model_type="theirs", auto_map={"AutoConfig": "theirs.Config", "AutoModel": "theirs.Model"})
    (llama / "theirs.py").write_text("raise SystemExit('code of the model ran')")
    text = message(llama)
    assert "never run" in text
    assert "theirs" in text


def test_unknown_kind(llama):
    edit_config(llama, model_type="nonesuch")
    text = message(llama)
    assert "nonesuch" in text
    assert "newer version" in text


def test_model_of_images_is_refused(tmp_path):
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=8, patch_size=4
    )
    config.save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    assert "only models of text" in message(f"{tmp_path}@random")


@pytest.mark.parametrize("name", ["/no/such/folder", "./nosuch", "~/nosuch", "a/b/c", "nosuch/"])
def test_no_such_folder(name):
    text = message(name)
    assert f"no folder {name}" in text
    assert "config.json" in text


def test_a_file_is_no_folder(llama):
    assert "is a file" in message(llama / "model.safetensors")


def test_hub_id_without_network_says_what_to_bring(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    text = message("nobody/no-such-model")
    for part in ("cannot be reached", "config.json", "model.safetensors", "tokenizer.json", "folder's path"):
        assert part in text


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Qwen/Qwen2-0.5b-instrct", "Qwen/Qwen2-0.5B"),
        ("smollm-135m", "smollm2-135m"),
        ("models/my-modle", "models/my-model"),
        ("someone/tiny-ish", "someone/tiny_ish"),
        ("nobody/no-such-model", None),
    ],
)
def test_a_mistyped_name_is_told_the_one_like_it(tmp_path, monkeypatch, name, meant):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    for place in ("models/my-model", "hub/models--someone--tiny_ish"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "models/my-model/config.json").write_text("{}")
    said = message(name)
    assert f"did you mean {meant}?" in said if meant else "did you mean" not in said


def test_hub_id_is_read_from_the_cache(llama, tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "hub" / "models--someone--tiny"
    shutil.copytree(llama, cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    backbone = load_backbone("someone/tiny", dtype="float32")
    assert backbone.source == f"someone/tiny@{commit}"
    assert backbone.fingerprint == load_backbone(str(llama), dtype="float32").fingerprint


def test_published_names_are_hub_ids():
    assert all(hub_id.endswith(f"/{name}") or name in hub_id for name, hub_id in PUBLISHED.items())
    assert "arctic-embed-xs" in PUBLISHED
    assert "Snowflake/snowflake-arctic-embed-xs" in message("arctic-embed-xs")


def test_impossible_hub_id():
    assert "neither a folder here nor a possible hub id" in message("two words")


def test_a_folder_has_no_revisions(llama):
    assert "no revisions" in message(llama, revision="main")


def test_dtype_names():
    cpu = torch.device("cpu")
    assert [resolve_dtype(name, cpu) for name in ("fp32", "bf16", "fp16", "float64")] == [
        torch.float32,
        torch.bfloat16,
        torch.float16,
        torch.float64,
    ]
    assert resolve_dtype(torch.float16, cpu) == torch.float16


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_model_that_runs_in_float32_alone(tmp_path, dtype, monkeypatch):
    """XLNet adds float32 positions to its states."""
    folder = write_folder(tmp_path, "xlnet")
    assert message(folder, dtype=dtype) == f"{folder} does not run in {dtype}; choose --dtype float32"
    exact = load_backbone(str(folder), dtype="float32")
    narrow = {"auto": getattr(torch, dtype)}
    monkeypatch.setattr(
        "tokenworth.backbones.loading.loader.resolve_dtype", lambda wish, _: narrow.get(wish, torch.float32)
    )
    found = load_backbone(str(folder), dtype="auto")
    assert found.dtype == torch.float32
    assert found.fingerprint == exact.fingerprint
    assert f"XLNetModel does not run in {dtype}, so it is computed in float32." in found.notes
    weights = exact.model.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in found.model.state_dict().items())


def test_a_model_that_runs_in_no_format_is_not_sent_to_another(llama):
    edit_config(llama, num_key_value_heads=3)
    assert "check that config.json fits the model" in message(f"{llama}@random", dtype="bfloat16")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(llama, number):
    from safetensors.torch import load_file, save_file

    weights = load_file(llama / "model.safetensors")
    weights["layers.1.mlp.up_proj.weight"][3, 2] = number
    save_file(weights, llama / "model.safetensors", metadata={"format": "pt"})
    assert message(llama) == (
        f"the weights of {llama} are NaN or infinite in float32 (layers.1.mlp.up_proj.weight); fetch the files again"
    )
    assert "choose --dtype float32" in message(llama, dtype="bfloat16")


def test_unknown_dtype_lists_those_there_are(llama):
    text = message(llama, dtype="float8")
    assert "float8" in text
    assert "bfloat16" in text


def test_devices():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type in {"cuda", "mps", "cpu"}


@pytest.mark.parametrize("device", ["gpu", "meta", "cuda:99", "cpu:1"])
def test_absent_device(llama, device):
    text = message(llama, device=device)
    assert device in text
    assert "choose one of auto" in text
