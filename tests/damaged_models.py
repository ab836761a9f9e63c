"""Model folders as they come damaged or hostile: one seeded mutation of a good folder at a time."""

import json
import shutil
from itertools import count
from pathlib import Path
from unittest.mock import patch

import tokenworth.backbones.loading.size_check as sizes
from tokenworth.backbones import account_of, load_backbone
from tokenworth.encode import tokenise
from tokenworth.errors import TokenworthError

TEXTS = ["w1 w2 w3 aaaa", "w4", "", "w5 w6 w7 w8 w9 " * 6]
DEEP = "[" * 50_000
VALUES = (
    None, True, False, 0, -1, 1, 3, 7, 10**6, 10**9, 10**12, 10**18, 10**40, 0.5, -0.0, 1e300, float("inf"),
    float("nan"), "", "x", "8", "../../etc", "a" * 10_000, [], [1], [None], ["x"], [[]], {}, {"x": 1}, {"type": "x"},
)  # fmt: skip
"""Of every type and size, to stand where another belongs."""
EXTRA_KEYS = (
    "num_labels", "id2label", "layer_types", "quantization_config", "rope_parameters", "rope_scaling", "head_dim",
    "attention_window", "sliding_window", "architectures", "auto_map", "dtype", "torch_dtype", "is_encoder_decoder",
    "is_decoder", "text_config", "tie_word_embeddings", "tokenizer_class", "pruned_heads", "attn_implementation",
    "_attn_implementation", "use_return_dict", "output_hidden_states", "return_dict", "problem_type", "name_or_path",
    "model_type", "chunk_size_feed_forward", "use_cache", "transformers_version", "num_key_value_heads", "label2id",
)  # fmt: skip
_numbers = count()


def damaged(base_folder, rng):
    """A copy of a model's folder with one thing changed, beside it, and what was changed in words.

    Args:
        base_folder: of a small model, with config.json, model.safetensors and a tokenizer.
        rng: a random.Random; equal seeds damage alike.
    """
    base_folder = Path(base_folder)
    folder = base_folder.parent / f"damaged-{next(_numbers)}"
    shutil.copytree(base_folder, folder)
    damage = rng.choice(DAMAGES)
    return folder, f"{damage.__name__}: {damage(folder, rng)}"


def use(folder):
    """What a command does with a model, in small; an error of the package is a good end, and is returned.

    The machine is taken for one with 1 GB free: a twin of 6 GB is no damage where there are 20.
    """
    with patch.object(sizes, "free_memory", lambda: 10**9):
        return list(_said(str(folder)))


def _said(folder):
    for name, options in ((folder, {}), (folder, {"lm_head": True}), (f"{folder}@random", {"tokenizer": "bytes"})):
        yield from _said_by(lambda name=name, options=options: _tokenise(name, options))
    yield from _said_by(lambda: account_of(folder, context=16))


def _said_by(call):
    try:
        call()
    except TokenworthError as error:
        yield str(error)


def _tokenise(name, options):
    tokenise(load_backbone(name, dtype="float32", device="cpu", **options), TEXTS)


def config_value(folder, rng):
    stated = _read(folder / "config.json")
    key, value = rng.choice([*stated, *EXTRA_KEYS]), rng.choice(VALUES)
    _write(folder / "config.json", {**stated, key: value})
    return f"{key} = {_short(value)}"


def config_key_gone(folder, rng):
    stated = _read(folder / "config.json")
    key = rng.choice(list(stated))
    _write(folder / "config.json", {name: value for name, value in stated.items() if name != key})
    return key


def file_as_text(folder, rng):
    path = rng.choice(sorted(folder.glob("*.json")))
    text = path.read_text()
    kinds = {
        "empty": "",
        "cut": text[: rng.randrange(len(text))],
        "deep": DEEP,
        "deep inside": text.replace("{", f'{{"x": {DEEP}', 1),
        "list": "[1]",
        "null": "null",
        "text": '"x"',
        "number": "9" * 5000,
        "no UTF-8": "\udcff\udcfe" + text,
        "long number": text.replace("{", f'{{"x": {"9" * 5000}, ', 1),
        "page": "<!DOCTYPE html><html><body>404</body></html>",
    }
    kind = rng.choice(sorted(kinds))
    path.write_bytes(kinds[kind].encode("utf-8", "surrogateescape"))
    return f"{path.name} {kind}"


def file_gone(folder, rng):
    path = rng.choice(sorted(folder.iterdir()))
    path.unlink()
    kind = rng.choice(("gone", "a folder", "a loop of links"))
    if kind == "a folder":
        path.mkdir()
    elif kind == "a loop of links":
        path.symlink_to(path)
    return f"{path.name} is {kind}"


def json_value(folder, rng):
    """A wrong value anywhere in one of the files beside config.json."""
    names = ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "special_tokens_map.json")
    path = folder / rng.choice(names)
    stated = _read(path) if path.is_file() else {"bos_token_id": 0, "eos_token": "</s>", "max_length": 20}
    trail, place, value = [], stated, rng.choice(VALUES)
    while True:
        key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
        trail.append(str(key))
        if not isinstance(place[key], dict | list) or not place[key] or rng.random() < 1 / 3:
            place[key] = value
            break
        place = place[key]
    _write(path, stated)
    return f"{path.name} {'.'.join(trail)} = {_short(value)}"


def tokenizer_part(folder, rng):
    """Parts of a tokenizer that are well formed and do harm."""
    chain = [{"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 10}] * 9
    parts = {
        "chain": ("normalizer", {"type": "Sequence", "normalizers": chain}),
        "one long": ("normalizer", {"type": "Replace", "pattern": {"Regex": "."}, "content": "a" * 100_000}),
        "empty match": ("normalizer", {"type": "Replace", "pattern": {"Regex": ""}, "content": "b" * 1000}),
        "no regex": ("pre_tokenizer", _split("(")),
        "backtracking": ("pre_tokenizer", _split("(a+)+(a+)+(a+)+$b")),
        "backreference": ("pre_tokenizer", _split(r"(\w+)\1{50}x")),
        "many specials": ("post_processor", _template(5000)),
        "no such special": ("post_processor", {**_template(1), "special_tokens": {}}),
        "ids beyond": ("model", {"type": "WordLevel", "vocab": {"w1": 2**32 - 1, "<unk>": 3}, "unk_token": "<unk>"}),
        "no unk": ("model", {"type": "WordLevel", "vocab": {"w1": 5}, "unk_token": "<none>"}),
        "no vocabulary": ("model", {"type": "BPE", "vocab": {}, "merges": []}),
        "strange merges": ("model", {"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "b"]]}),
        "unigram": ("model", {"type": "Unigram", "unk_id": 7, "vocab": [["a", float("-inf")]]}),
        "cut to 0": ("truncation", {"max_length": 0, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}),
        "stride": ("truncation", {"max_length": 8, "strategy": "LongestFirst", "stride": 9, "direction": "Right"}),
        "padded": ("padding", {"strategy": {"Fixed": 10**9}, "direction": "Right", "pad_to_multiple_of": None,
                               "pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>"}),
    }  # fmt: skip
    kind = rng.choice(sorted(parts))
    key, part = parts[kind]
    _write(folder / "tokenizer.json", {**_read(folder / "tokenizer.json"), key: part})
    return kind


def weights_bytes(folder, rng):
    """Cut, a bit turned, a header of another length, or numbers that no training leaves."""
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    kind = rng.choice(("cut", "flip", "length", "zero", "huge", "nan", "inf", "longer"))
    fill = {"zero": b"\0\0\0\0", "huge": b"\xff\xff\x7f\x7f", "nan": b"\0\0\xc0\x7f", "inf": b"\0\0\x80\x7f"}
    if kind == "cut":
        del data[rng.randrange(len(data)) :]
    elif kind == "flip":
        data[rng.randrange(start + 200)] ^= 1 << rng.randrange(8)
    elif kind == "length":
        data[:8] = rng.choice((0, 1, 2**40, 2**64 - 1)).to_bytes(8, "little")
    elif kind == "longer":
        data += b"\0" * 100
    else:
        data[start:] = fill[kind] * ((len(data) - start) // 4)
    path.write_bytes(data)
    return kind


def weights_header(folder, rng):
    path = folder / "model.safetensors"
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    name = rng.choice([name for name in header if name != "__metadata__"])
    kind = rng.choice(("shape", "dtype", "data_offsets", "name", "gone"))
    entry, value = header.pop(name), rng.choice((*VALUES, [10**6, 10**6], [-1], "F64", "I32", "BOOL", "F8_E4M3"))
    if kind == "name":
        header[f"{name}.x"] = entry
    elif kind != "gone":
        header[name] = {**entry, kind: value}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[start:])
    return f"{name} {kind} {_short(value)}"


def index_file(folder, rng):
    """An index in place of the one file."""
    value = rng.choice((*VALUES, "model.safetensors", "weights/../x", "/etc/passwd", "tokenizer.json"))
    kinds = {"entry": {"weight_map": {"a": value}}, "map": {"weight_map": value}, "none": {}}
    kind = rng.choice(sorted(kinds))
    _write(folder / "model.safetensors.index.json", kinds[kind])
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    return f"{kind} {_short(value)}"


def adapter(folder, rng):
    """An adapter's settings beside the weights, or in their place."""
    base = rng.choice((*VALUES, ".", "nobody/none", str(folder), "config.json"))
    stated = {"peft_type": rng.choice(("LORA", "IA3", *VALUES)), "base_model_name_or_path": base, "r": 4}
    _write(folder / "adapter_config.json", {**stated, "target_modules": rng.choice(("all-linear", *VALUES))})
    if rng.random() < 1 / 2:
        (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    return _short(stated)


DAMAGES = (
    config_value, config_value, config_value, config_key_gone, file_as_text, file_gone, json_value, json_value,
    tokenizer_part, weights_bytes, weights_header, index_file, adapter,
)  # fmt: skip


def _split(regex):
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}


def _template(n):
    special = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    return {
        "type": "TemplateProcessing",
        "single": [*[special] * n, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}},
    }


def _read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def _write(path, value):
    path.write_text(json.dumps(value), encoding="utf-8")


def _short(value):
    return json.dumps(value)[:60]
