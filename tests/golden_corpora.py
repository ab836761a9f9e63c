"""Golden cases of corpora: every stage of a build, the calls its stages are made of, and tokenizers."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pandas as pd

from golden_inputs import (
    command,
    digest,
    documents,
    prose,
    prose_model,
    read_json,
    write_documents,
    write_yaml,
)


def _raw(home: Path) -> None:
    """Three sources with duplicates of all kinds, personal data, broken text, test texts of a task, German."""
    rng = random.Random(0)
    (home / "task").mkdir()
    test = [prose(rng, 30) for _ in range(10)]
    for part, texts in (("train", [prose(rng, 30) for _ in range(20)]), ("test", test)):
        labels = ["a", "b"] * (len(texts) // 2)
        pd.DataFrame({"text": texts, "label": labels}).to_csv(home / "task" / f"{part}.csv", index=False)
    one = [prose(rng, 80) for _ in range(40)]
    shuffled = " ".join(rng.sample(one[5].split(), 80))
    one += [one[0], one[1].upper(), one[2] + " lamp", shuffled, "too short"]
    one += [
        prose(rng, 90) + " mail jane@example.org now",
        "Der alte Mann ging am Abend langsam durch die Stadt und sah auf den Fluss. " * 6,
    ]
    two = [prose(rng, 70) for _ in range(30)] + [one[3], f"{prose(rng, 40)} {test[0]} {prose(rng, 40)}"]
    two += [prose(rng, 90) + " schÃ¶n", prose(rng, 90) + " call +1 212 555 0142 or 192.168.7.9", "river " * 200]
    pd.DataFrame({"text": one}).to_parquet(home / "one.parquet")
    rows = "".join(json.dumps({"text": text}) + "\n" for text in two) + "not json\n"
    (home / "two.jsonl").write_text(rows, encoding="utf-8")
    (home / "pages").mkdir()
    for number in range(6):
        body = "".join(f"<p>{prose(rng, 40)}</p>" for _ in range(3))
        page = f"<html><head><title>Page</title></head><body><nav>Home</nav><article>{body}</article></body></html>"
        (home / "pages" / f"{number}.html").write_text(page, encoding="utf-8")


def build(home: Path) -> Any:
    """All stages, two of them asking a model, a mix by weights, token shards; the command."""
    _raw(home)
    prose_model(home / "model", initializer_range=0.3)
    stages = {
        "extract": None,
        "normalise": {"languages": ["en"]},
        "quality": None,
        "redact": None,
        "exact": None,
        "near": None,
        "semantic": {"model": "model", "threshold": 0.6},
        "perplexity": {"model": "model", "max_bits_per_byte": 1.38},
        "decontaminate": {"tasks": ["task"]},
    }
    sources = {
        "one": {"path": "one.parquet", "weight": 0.5, "annealing_weight": 0.2, "synthetic": True},
        "two": {"path": "two.jsonl", "weight": 0.3, "annealing_weight": 0.5},
        "web": {"path": "pages", "kind": "html", "weight": 0.2, "annealing_weight": 0.3, "repeats": 2},
    }
    settings = {
        "sources": sources,
        "stages": stages,
        "shard_documents": 16,
        "seed": 3,
        "keep_dropped": True,
        "mix": {"shard_mb": 0.01, "annealing_share": 0.25},
        "pack": {"tokenizer": {"vocabulary": 300}, "held_out_share": 0.1},
    }
    return built(home, settings)


def built(home: Path, settings: Any) -> dict[str, Any]:
    """All that the command leaves of a build."""
    write_yaml(home / "corpus.yaml", settings)
    report = json.loads(command(home, "corpus", "build", "corpus.yaml", "--out", "out", "--json", "-q"))
    out = home / "out"
    assert report == read_json(out / "report.json")
    return {
        "report.json": report,
        "corpus.json": read_json(out / "corpus.json"),
        "pretrain.yaml": (out / "pretrain.yaml").read_text(encoding="utf-8"),
        "texts": {path.name: _rows(path) for path in sorted(out.glob("text-*.parquet"))},
        "dropped": sorted(row for path in (out / "work").rglob("*.dropped.parquet") for row in _rows(path)),
        "tokens": {
            str(path.relative_to(out)): digest(path.read_bytes())
            for path in sorted((out / "tokens").rglob("*"))
            if path.suffix in (".npy", ".bin")
        },
    }


def _rows(path: Path) -> list[str]:
    """A digest a document, with what else is in its row."""
    table = pd.read_parquet(path)
    kept = [name for name in table.columns if name != "text"]
    return [" ".join([*(str(row[name]) for name in kept), digest(row["text"])]) for row in table.to_dict("records")]


def calls(home: Path) -> Any:
    """What can be called on texts alone, and the command that looks at documents."""
    from tokenworth.corpus import contamination, diversity, extract_text, near_duplicates, redact
    from tokenworth.tasks import load_task

    _raw(home)
    texts = pd.read_parquet(home / "one.parquet")["text"].tolist()
    two = [json.loads(line)["text"] for line in (home / "two.jsonl").read_text(encoding="utf-8").splitlines()[:-1]]
    personal = " ".join([*texts[-3:], *two[-3:], "4111 1111 1111 1111 DE89370400440532013000 078-05-1120"])
    redacted, findings = redact(personal)
    command(home, "corpus", "audit", "two.jsonl", "--task", "task", "--out", "audit", "-q")
    return {
        "extract": extract_text((home / "pages" / "0.html").read_text(encoding="utf-8")),
        "redact": [redacted, [[one.type, one.start, one.end] for one in findings]],
        "near": near_duplicates([*texts, *two]).tolist(),
        "contamination": contamination(two, load_task(str(home / "task"))).to_dict("list"),
        "diversity": diversity(documents(40, 0)),
        "audit": read_json(home / "audit" / "audit.json"),
    }


def tokenizers(home: Path) -> Any:
    """Both kinds, trained by the command on two sources."""
    write_documents(home / "one.txt", documents(200, 0))
    write_documents(home / "two.txt", [text.upper() + " 1987, naïve" for text in documents(100, 1)])
    found = {}
    for kind in ("bpe", "unigram"):
        sources = {"one": "one.txt", "two": "two.txt"}
        write_yaml(home / f"{kind}.yaml", {"kind": kind, "vocabulary": 330, "sources": sources})
        printed = command(home, "tokenizer", "train", f"{kind}.yaml", "--out", kind, "--json")
        inner = read_json(home / kind / "tokenizer.json")
        found[kind] = {"printed": json.loads(printed), "bits": digest(json.dumps(inner, sort_keys=True))}
    return found
