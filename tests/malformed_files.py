"""Files of settings and of tasks with something wrong in them: one seeded mutation or a few of a good one."""

import copy
import csv
import io
import json
import math

import pandas as pd
import yaml

ODD_VALUES = (
    None, True, False, 0, -1, 1, 3, 10**6, 10**9, 10**12, 2**63 - 1, 2**63, 10**40, 10**400, 0.5, -0.5, 1e308, 1e-320,
    math.inf, -math.inf, math.nan, "", " ", "x", "7", "1e-4", "nan", "../../x", "/dev/zero", "a\0b", "\ud800", "狐",
    "\x1b[31m", "{text}", "a" * 10_000, "*", "**/**/**", [], [1], [None], ["x", 1], [[]], [[["x"]]], {}, {"x": 1},
    {"path": 3}, {1: 2}, {"seeds": []}, {"steps": [1]},
)  # fmt: skip
"""Of every type and size, to stand where another belongs."""

GOOD = {
    "routes": {
        "steps": 100, "batch": 8, "lr": 1e-4, "warmup_share": 0.1, "pooling": "mean", "targets": ["q_proj"],
        "peft": {"use_dora": True}, "template": "a {text}", "train_size": 50, "class_weights": "none", "tune": 2,
        "metric": "accuracy", "quantise": 4, "checkpoint_seconds": 5, "prefix": "query: ", "rank": 4,
    },
    "study": {
        "name": "s", "tasks": ["a.csv", "sst2"], "backbones": ["m"],
        "routes": {"bow": {"seeds": [1]}, "lora": {"lr": 1}}, "seeds": [0, 1],
        "settings": {"steps": 5, "lr": 0.1}, "axes": {"rank": [8, 16], "steps": [9, 10]},
        "variants": {"v": {"source": "snli", "text": "premise"}}, "data": "d", "max_texts": 9,
    },
    "corpus": {
        "name": "c",
        "sources": {"a": {"path": "a.txt", "weight": 0.5, "skip": ["near"]}, "b": {"path": "a.txt", "weight": 0.5}},
        "stages": {"near": {"threshold": 0.7}, "quality": {"min_words": 5}, "redact": {"types": ["EMAIL"]},
                   "semantic": {"model": "m"}, "perplexity": {"model": "m", "max_bits_per_byte": 3}},
        "mix": {"total_mb": 2, "annealing_share": 0.2}, "pack": {"tokenizer": {"kind": "bpe"}, "held_out_share": 0.1},
        "seed": 3, "shard_documents": 100, "max_document_mb": 1.0, "keep_dropped": True,
    },
    "pretraining": {
        "sources": {"a": {"path": "a.txt", "weight": 1, "annealing_weight": 0.5}, "b": "a.txt"},
        "held_out": {"c": "a.txt"}, "tokenizer": {"kind": "bpe", "vocabulary": 300, "special": ["<|end|>"]},
        "model": {"layers": 2, "width": 32, "heads": 2, "kv_heads": 1, "experts": 0, "init_std": 0.1},
        "training": {"tokens": 1000, "context": 8, "batch": 2, "lr": 1e-3, "beta1": 0.9, "schedule": "wsd"},
        "prompts": ["The"], "seed": 1, "shards": "tokens",
    },
    "tokenizer": {"kind": "unigram", "vocabulary": 300, "special": ["<|end|>"], "sources": {"a": "nowhere.txt"}},
}  # fmt: skip
"""A file of settings of every kind."""


def malformed_settings(kind, rng):
    """The bytes of a file of settings of one of the kinds of GOOD, and what was done to it in words."""
    values = copy.deepcopy(GOOD[kind])
    said = [_change(values, rng) for _ in range(rng.choice((1, 1, 1, 2, 4)))]
    text = yaml.safe_dump(values, sort_keys=False)
    if rng.random() < 1 / 3:
        text, how = _damaged_text(text, rng)
        said.append(how)
    return text.encode("utf-8", "surrogatepass"), "; ".join(said)


def _change(values, rng):
    """One value, key or section of a tree, in place."""
    holder, key, words = rng.choice(list(_places(values)))
    how = rng.choice(("value", "value", "value", "value", "gone", "misspelt", "list", "deeper"))
    if how == "value":
        holder[key] = copy.deepcopy(rng.choice(ODD_VALUES))
    elif how == "gone":
        del holder[key]
    elif how == "misspelt" and isinstance(holder, dict):
        holder[str(rng.choice((f"{key}s", str(key)[1:], f"_{key}", "x")))] = holder.pop(key)
    elif how == "list":
        holder[key] = [holder[key]] * 3
    else:
        holder[key] = {str(key): holder[key]}
    return f"{words} {how}"


def _places(value, words=""):
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield value, key, f"{words}.{key}"
        yield from _places(inner, f"{words}.{key}")


def _damaged_text(text, rng):
    lines, at = text.splitlines(), rng.randrange(len(text) + 1)
    tag = rng.choice(("!!int", "!!python/name:os.system", "!!set", "!x", "!!binary"))
    kinds = {
        "cut": text[:at],
        "a line again": "\n".join([*lines, rng.choice(lines)]),
        "a tab": text[:at] + "\t" + text[at:],
        "a bracket": text[:at] + rng.choice("[]{}&*!|>%@`'\"#:,-?") + text[at:],
        "deep": text + "deep: " + "[" * rng.choice((60, 3000)),
        "a tag": text.replace(": ", f": {tag} ", 1),
        "a date": text.replace(": ", ": 2024-02-31T25:00:00 #", 1),
        "digits": text.replace(": ", f": {'9' * 5000} #", 1),
        "an alias": text.replace(": ", ": &a ", 1) + "\nmore: [*a, *a, *b]",
        "a zero byte": text[:at] + "\0" + text[at:],
        "a control character": text[:at] + "\x07" + text[at:],
        "documents": f"{text}\n---\n{text}",
        "lists": "- " + text.replace("\n", "\n  "),
    }  # fmt: skip
    how = rng.choice(sorted(kinds))
    return kinds[how], how


WORDS = (
    "good",
    "bad",
    "ugly",
    "a",
    "",
    " ",
    "狐",
    "\x1b[31m",
    '"',
    "'",
    ",",
    "\t",
    "\r\n",
    "\n",
    "a" * 5000,
    "nan",
    "1e5",
    "=1+1",
    "\ufeff",
    "\0",
)
LABELS = ("pos", "neg", "neutral", "", "0", "1", "1.0", "狐", "pos ", "\x1b[0m", "nan", "a" * 500)
STAND_IN = "\ue000"
"""For a NUL, which the csv writer of Python 3.10 refuses."""


def malformed_task(folder, rng):
    """A file of labelled texts with something wrong in it, and what in words."""
    n = rng.choice((0, 1, 12, 40, 40, 40, 40, 40))
    plain = rng.random() < 2 / 3
    texts = [f"text {i} {rng.choice(WORDS[:4])}" if plain else rng.choice(WORDS) for i in range(n)]
    labels = [LABELS[i % 2] if plain else rng.choice(LABELS) for i in range(n)]
    good = ("text", "label")
    columns = rng.choice((good, good, good, ("text", "label", "text"), ("a", "b"), ("label", "text"), ("text",), ()))
    rows = [dict(zip(columns, (text, label, text), strict=False)) for text, label in zip(texts, labels, strict=True)]
    write = rng.choice((_csv, _csv, _json_lines, _json_lines, _json, _parquet, _folder))
    path = write(folder, rows, columns, rng)
    return path, f"{write.__name__} {n} rows {columns}"


def _csv(folder, rows, columns, rng):
    written = io.StringIO()
    table = csv.writer(written, delimiter=rng.choice(",;\t|"), lineterminator=rng.choice(("\n", "\r\n", "\r")))
    table.writerow(columns)
    cells = ([value.replace("\0", STAND_IN) for value in row.values()] for row in rows)
    table.writerows(row + ["more"] * (rng.random() < 0.05) for row in cells)
    name = rng.choice(("task.csv", "task.tsv"))
    text = written.getvalue().replace(STAND_IN, "\0")
    return _damaged_bytes(folder / name, text.encode("utf-8", "surrogatepass"), rng)


def _json_lines(folder, rows, _columns, rng):
    for row in rows:
        if row and rng.random() < 0.1:
            row[rng.choice(list(row))] = rng.choice(ODD_VALUES)
    text = "\n".join(json.dumps(row, ensure_ascii=rng.random() < 1 / 2) for row in rows)
    return _damaged_bytes(folder / "task.jsonl", text.encode("utf-8", "surrogatepass"), rng)


def _json(folder, rows, _columns, rng):
    whole = rng.choice((rows, {"data": rows}, rng.choice(ODD_VALUES), [rng.choice(ODD_VALUES)] * 3))
    return _damaged_bytes(folder / "task.json", json.dumps(whole).encode("utf-8", "surrogatepass"), rng)


def _parquet(folder, rows, columns, rng):
    frame = pd.DataFrame(
        [list(row.values()) for row in rows], columns=pd.Index(columns[: len(rows[0])] if rows else columns)
    )
    frame = frame.loc[:, ~frame.columns.duplicated()]
    if len(frame.columns) and len(frame):
        changes = (lambda x: x, lambda x: x.astype("category"), lambda x: [1.5] * len(x), lambda x: [None] * len(x),
                   lambda x: [[1, 2]] * len(x), lambda x: [b"\xff"] * len(x))  # fmt: skip
        name = rng.choice(list(frame.columns))
        frame[name] = rng.choice(changes)(frame[name])
    written = io.BytesIO()
    frame.to_parquet(written)
    return _damaged_bytes(folder / "task.parquet", written.getvalue(), rng)


def _folder(folder, rows, columns, rng):
    place = folder / "task"
    place.mkdir()
    for part in rng.choice((("train", "test"), ("train",), ("test",), ("train", "train", "test"), ())):
        path = _csv(place, rows, columns, rng)
        path.rename(place / f"{part}{path.suffix}")
    return place


def _damaged_bytes(path, data, rng):
    """Two of three as they are."""
    at = rng.randrange(len(data) + 1)
    kinds = {
        "cut": data[:at],
        "flipped": data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :] if at < len(data) else data,
        "latin": data[:at] + b"caf\xe9" + data[at:],
        "zero": data[:at] + b"\0" + data[at:],
        "quote": data[:at] + b'"' + data[at:],
        "bom": b"\xef\xbb\xbf" + data,
        "utf-16": data.decode("utf-8", "replace").encode("utf-16"),
        "empty": b"",
        "page": b"<!DOCTYPE html><html></html>",
        "deep": b"[" * 50_000,
        "long": b"9" * 200_000,
    }
    path.write_bytes(kinds[rng.choice(sorted(kinds))] if rng.random() < 1 / 3 else data)
    return path
