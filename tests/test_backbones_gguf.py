"""GGUF files as backbones: the numbers a file holds, its settings and words, what identifies it, what is refused."""

import json
import os
import shutil
import struct

import numpy as np
import pytest
import torch
import transformers

import gguf_files as files
from gguf_files import gguf, write_gguf, write_plain
from tokenworth.backbones import account_of, load_backbone
from tokenworth.backbones.loading.gguf_header import quick_reader, read_header
from tokenworth.backbones.loading.loader import identity
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.errors import BackboneError, SettingError

TEXT = "Hello the  man in 1234, l'été\n\n" * 3
QUICK = ("llama", "gemma3_text", "gpt2", "qwen3_moe")
FORMATS = ("F32", "F16", "Q8_0", "Q4_1")


@pytest.fixture(autouse=True)
def _quiet():
    with quiet_transformers():
        yield


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    with quiet_transformers():
        return write_plain(tmp_path_factory.mktemp("plain") / "llama")


@pytest.fixture(scope="module")
def kept(plain, tmp_path_factory):
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write_gguf(plain, path)
    return path


@pytest.fixture
def file(kept, tmp_path):
    return shutil.copyfile(kept, tmp_path / "tiny.gguf")


def states(backbone):
    ids = torch.tensor([backbone.tokenizer(TEXT)["input_ids"]])
    with torch.inference_mode():
        return backbone.model(input_ids=ids.to(backbone.device), output_hidden_states=True).hidden_states


def loaded(name, **options):
    return load_backbone(str(name), device="cpu", **{"dtype": "float32", **options})


def message(name, **options):
    with pytest.raises(BackboneError) as caught:
        loaded(name, **options)
    text = str(caught.value)
    assert "\n" not in text, "one sentence, as the command line prints it"
    return text


def apart(found, wanted):
    return max(float((a.double() - b.double()).norm() / b.double().norm()) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in files.NAMES]
)
def test_states_of_every_layer_are_those_of_the_plain_folder(name, tmp_path):
    """Rows that converters turn, norms that they shift, settings that transformers leaves out: all are undone."""
    folder = write_plain(tmp_path / "plain", name)
    write_gguf(folder, tmp_path / "tiny.gguf")
    found, wanted = loaded(tmp_path / "tiny.gguf"), loaded(folder)
    assert found.tokenizer(TEXT)["input_ids"] == wanted.tokenizer(TEXT)["input_ids"]
    assert (found.n_layers, found.width, found.causal) == (wanted.n_layers, wanted.width, True)
    assert (found.max_length, found.n_parameters) == (wanted.max_length, wanted.n_parameters)
    assert apart(states(found), states(wanted)) < 1e-6
    found.tokenizer.save_pretrained(tmp_path / "saved")
    found.model.save_pretrained(tmp_path / "saved")
    again = loaded(tmp_path / "saved")  # where a kind's own tokenizer class could come in
    assert again.tokenizer(TEXT)["input_ids"] == wanted.tokenizer(TEXT)["input_ids"]
    assert apart(states(again), states(wanted)) < 1e-6


@pytest.mark.parametrize("packing", FORMATS)
@pytest.mark.formats
def test_weights_are_what_the_blocks_are_worth(plain, packing, tmp_path):
    """The slow truth: the packages' own reference for blocks, put into the library's own class."""
    held = write_gguf(plain, tmp_path / "tiny.gguf", packing)
    found = loaded(tmp_path / "tiny.gguf", dtype="auto")
    truth = transformers.AutoModelForCausalLM.from_pretrained(plain)
    truth.load_state_dict(held, strict=False)
    truth = truth.to(found.dtype).model.eval()
    for (name, weights), other in zip(found.model.named_parameters(), truth.parameters(), strict=True):
        assert torch.equal(weights, other), name
    with torch.inference_mode():
        ids = torch.tensor([found.tokenizer(TEXT)["input_ids"]])
        wanted = truth(input_ids=ids, output_hidden_states=True).hidden_states
    assert apart(states(found), wanted) < (1e-6 if found.dtype == torch.float32 else 2e-2)


def test_packing_and_size_are_named(plain, tmp_path):
    write_gguf(plain, tmp_path / "tiny.gguf", "Q4_1")
    header, found = read_header(tmp_path / "tiny.gguf"), loaded(tmp_path / "tiny.gguf")
    stored = gguf.GGUFReader(tmp_path / "tiny.gguf").tensors
    bits = 8 * sum(int(tensor.n_bytes) for tensor in stored) / sum(int(tensor.n_elements) for tensor in stored)
    assert header.bits == pytest.approx(bits)
    assert 5 < bits < 16
    assert header.packings["Q4_1"] == sum(tensor.tensor_type.name == "Q4_1" for tensor in stored)
    size = f"{(tmp_path / 'tiny.gguf').stat().st_size / 1e6:,.1f} MB"
    assert found.source == f"{tmp_path / 'tiny.gguf'} (Q4_1, {bits:.1f} bits a weight, {size})"
    assert f"{bits:.1f} bits a weight" in " ".join(found.notes)


def test_a_folder_with_one_file_is_that_file_whatever_lies_beside_it(file, plain):
    shutil.copyfile(plain / "config.json", file.parent / "config.json")
    (file.parent / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": ["evil.Tokenizer", null]}}')
    assert identity(str(file.parent)) == identity(str(file))
    assert apart(states(loaded(file.parent)), states(loaded(file))) == 0


def test_weights_that_need_no_unpacking_go_first(file, plain):
    shutil.copytree(plain, file.parent, dirs_exist_ok=True)
    assert loaded(file.parent).source == str(file.parent)


def test_several_files_in_a_folder_are_named(file):
    shutil.copyfile(file, file.parent / "other.gguf")
    text = message(file.parent)
    assert "holds 2 GGUF files (other.gguf, tiny.gguf); give the path of one" in text


def test_a_part_of_several_files_is_refused(file):
    part = file.rename(file.parent / "tiny-00001-of-00003.gguf")
    shutil.copyfile(part, file.parent / "tiny-00002-of-00003.gguf")
    for name in (part, file.parent):
        assert "llama-gguf-split --merge" in message(name)


def test_the_fingerprint_is_that_of_the_content(file, tmp_path):
    before = identity(str(file))
    assert loaded(file).fingerprint == before
    moved = shutil.copyfile(file, tmp_path / "renamed.gguf")
    assert identity(str(moved)) == before
    with moved.open("r+b") as changed:
        changed.seek(-8, os.SEEK_END)
        changed.write(b"\x3c\x3c\x3c\x3c")
    assert identity(str(moved)) != before


def test_random_twins_tell_files_apart(file, plain, tmp_path):
    """Their weights come from the seed, their shape and words from the file, which states no width of the draw."""
    other = write_plain(tmp_path / "qwen2", "qwen2")
    write_gguf(other, tmp_path / "other.gguf")
    names = [f"{path}@random" for path in (file, tmp_path / "other.gguf")]
    assert len({identity(names[0]), identity(names[1]), identity(names[0], seed=1), identity(str(file))}) == 4
    shutil.copytree(plain, tmp_path / "plain")
    path = tmp_path / "plain" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"initializer_range": 0.02}))
    twin, wanted = loaded(names[0]), loaded(f"{tmp_path / 'plain'}@random")
    assert twin.fingerprint == identity(names[0])
    assert twin.random
    assert apart(states(twin), states(wanted)) == 0


def test_counting_reads_no_weights(file, plain):
    def counts(name):
        account = account_of(str(name))
        return account.parameters, account.with_head, account.flops_per_token()

    assert counts(file) == counts(plain)


def test_words_and_chat_template_survive_saving(file, tmp_path):
    tokenizer = loaded(file).tokenizer
    assert tokenizer.chat_template == files.CHAT
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == ("<s>", "</s>", "<pad>")
    tokenizer.save_pretrained(tmp_path / "saved")
    again = transformers.AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert again(TEXT)["input_ids"] == tokenizer(TEXT)["input_ids"]
    assert again.chat_template == files.CHAT


def test_another_tokenizer_changes_the_fingerprint(file, plain):
    own, others = identity(str(file)), [identity(str(file), tokenizer=str(name)) for name in (plain, "bytes")]
    assert len({own, *others}) == 3
    wanted = loaded(plain).tokenizer(TEXT)["input_ids"]
    for name in (file, file.parent):
        assert loaded(plain, tokenizer=str(name)).tokenizer(TEXT)["input_ids"] == wanted
    assert identity(str(plain), tokenizer=str(file)) not in {identity(str(plain)), own}


def test_a_file_has_no_revisions(file):
    with pytest.raises(SettingError, match="is a local file and has no revisions"):
        identity(str(file), revision="main")


def test_the_quick_reader_reads_what_the_package_reads(file):
    slow, quick = gguf.GGUFReader(file), quick_reader()(file)
    assert list(slow.fields) == list(quick.fields)
    assert len(slow.tensors) == len(quick.tensors) > 20
    for name, field in slow.fields.items():
        other = quick.fields[name]
        assert (field.types, field.data, len(field.parts)) == (other.types, other.data, len(other.parts)), name
        assert all(np.array_equal(a, b) for a, b in zip(field.parts, other.parts, strict=True)), name
    assert slow.data_offset == quick.data_offset


# What is refused, each in a sentence


def test_a_file_of_another_kind(file):
    file.write_bytes(b"PK\x03\x04" + bytes(100))
    assert "is no GGUF file, whatever its name says" in message(file)
    file.write_bytes(b"")
    assert "is no GGUF file" in message(file)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.999])
def test_a_file_cut_short(file, share):
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    assert "is damaged or cut short" in message(file)
    with pytest.raises(BackboneError, match="cut short"):
        identity(str(file))


def test_counts_that_a_file_cannot_hold(file):
    for place, count in ((8, 2**62), (16, 2**62)):
        content = bytearray(file.read_bytes())
        content[place : place + 8] = struct.pack("<Q", count)
        broken = file.parent / f"counts-{place}.gguf"
        broken.write_bytes(content)
        assert "is damaged or cut short" in message(broken)


def changed(plain, path, change):
    write_gguf(plain, path, change=change)
    return path


def replace_in(path, before, after):
    content = path.read_bytes()
    assert content.count(before) >= 1
    assert len(before) == len(after)
    path.write_bytes(content.replace(before, after))


def test_an_unknown_architecture(file):
    replace_in(file, b"llama", b"clamp")
    text = message(file)
    assert "has the architecture 'clamp', which the installed transformers cannot make a model of" in text


def test_no_architecture(file):
    replace_in(file, b"general.architecture", b"general.architectura")
    assert "names no architecture" in message(file)


def test_weights_packed_in_an_unknown_way(file):
    """Of the tensor that comes first: behind its name come 2 dimensions, their sizes and the number of its format."""
    content = bytearray(file.read_bytes())
    name = b"token_embd.weight"
    place = content.index(name) + len(name) + 4 + 16
    content[place : place + 4] = struct.pack("<I", 99)
    file.write_bytes(content)
    assert "in a format that the installed package gguf does not know" in message(file)


def test_whole_numbers_are_no_weights(plain, tmp_path):
    extra = lambda writer: writer.add_tensor("odd.weight", np.zeros((2, 32), np.int32))  # noqa: E731
    assert "packed as I32, which cannot be unpacked" in message(changed(plain, tmp_path / "odd.gguf", extra))


def test_more_blocks_than_tensors(plain, tmp_path):
    path = tmp_path / "deep.gguf"
    write_gguf(plain, path)
    content = bytearray(path.read_bytes())
    place = content.index(b"llama.block_count") + len(b"llama.block_count") + 4
    content[place : place + 4] = struct.pack("<I", 2**31)
    path.write_bytes(content)
    assert "llama.block_count is 2147483648, but there are 30 tensors" in message(path)


def test_a_tensor_is_missing(file):
    replace_in(file, b"blk.1.ffn_up.weight", b"blk.1.ffn_xx.weight")
    text = message(file)
    assert "lack 1 tensors that its settings ask for (model.layers.1.mlp.up_proj.weight)" in text


def test_a_file_without_words(file):
    replace_in(file, b"tokenizer.ggml.model", b"tokenizer.ggml.mudel")
    text = message(file)
    assert "the tokenizer of" in text
    assert "--tokenizer" in text
    assert "tokenizer.json into" not in text
    assert loaded(file, tokenizer="bytes").n_layers == 3


def test_without_the_package(file, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "gguf", None)
    read_header.__globals__["_read_header"].cache_clear()
    assert "pip install 'tokenworth[gguf]'" in message(file)


# Positions that a file scales


def rope(base, factor, n=4):
    """As convert_hf_to_gguf.py computes it for Llama 3.1."""
    frequencies = 1.0 / (base ** (np.arange(0, 2 * n, 2, dtype=np.float64) / (2 * n)))
    found = []
    for frequency in frequencies:
        wave = 2 * np.pi / frequency
        if wave < 8192 / 4:
            found.append(1.0)
        elif wave > 8192:
            found.append(factor)
        else:
            smooth = (8192 / wave - 1) / (4 - 1)
            found.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(found, dtype=np.float32)


def scaled_folder(plain, folder, **scaling):
    shutil.copytree(plain, folder)
    path = folder / "config.json"
    stated = json.loads(path.read_text())
    path.write_text(json.dumps(stated | {"rope_parameters": {"rope_theta": 500_000.0, **scaling}}))
    return folder


def test_scaled_positions_of_llama_3(plain, tmp_path):
    named = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
    folder = scaled_folder(plain, tmp_path / "plain", rope_type="llama3", factor=32.0, **named)
    factors = rope(500_000.0, 32.0)
    assert len(set(factors)) > 2, "some frequencies are scaled, some are not, one lies between"
    path = changed(folder, tmp_path / "a.gguf", lambda writer: writer.add_tensor("rope_freqs.weight", factors))
    found, wanted = loaded(path), loaded(folder)
    assert apart([found.model.rotary_emb.inv_freq], [wanted.model.rotary_emb.inv_freq]) < 1e-6
    assert apart(states(found), states(wanted)) < 1e-5
    odd = changed(folder, tmp_path / "b.gguf", lambda writer: writer.add_tensor("rope_freqs.weight", factors**0.5))
    assert "scales its positions by factors that are not those of Llama 3.1" in message(odd)


def test_positions_scaled_evenly(plain, tmp_path):
    folder = scaled_folder(plain, tmp_path / "plain", rope_type="linear", factor=4.0)

    def state(writer):
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(4.0)

    found = loaded(changed(folder, tmp_path / "a.gguf", state))
    assert apart(states(found), states(loaded(folder))) < 1e-6


def test_positions_scaled_in_a_way_that_is_not_read(plain, tmp_path):
    yarn = lambda writer: writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)  # noqa: E731
    assert "scales its positions by the method yarn" in message(changed(plain, tmp_path / "a.gguf", yarn))
