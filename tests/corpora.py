"""Small corpora and runs for tests of pretraining: sentences of a tiny grammar, seeded."""

import random

from tokenworth.pretraining import make_config

SUBJECTS = ["the cat", "a dog", "my friend", "the old king", "every child", "no bird"]
VERBS = ["sees", "likes", "follows", "forgets", "paints", "counts"]
OBJECTS = ["the sea", "a red house", "seven stars", "the long road", "bread and salt", "an open door"]


def sentences(n, seed=0):
    """Documents of three to eight sentences."""
    rng = random.Random(seed)
    return [
        " ".join(f"{rng.choice(SUBJECTS)} {rng.choice(VERBS)} {rng.choice(OBJECTS)}." for _ in range(rng.randint(3, 8)))
        for _ in range(n)
    ]


def write_corpus(path, n=400, seed=0):
    """A .txt file with an empty line between documents."""
    path.write_text("\n\n".join(sentences(n, seed)), encoding="utf-8")
    return path


def run_file(home, *, model=None, **training):
    """RUN.yaml beside two sources; returns its path."""
    import yaml

    for name, seed in (("one", 0), ("two", 1)):
        if not (home / f"{name}.txt").exists():
            write_corpus(home / f"{name}.txt", seed=seed)
    settings = {
        "sources": {"one": {"path": "one.txt", "weight": 3}, "two": "two.txt"},
        "tokenizer": {"vocabulary": 300},
        "model": model or {"layers": 2, "width": 32, "heads": 2},
        "training": {
            "tokens": 20 * 4 * 32, "context": 32, "batch": 4, "trace_from": 500, "trace_per_decade": 2,
            "held_out_share": 0.05, "held_out_tokens": 500, "lr": 0.01, "dtype": "float32", **training,
        },
        "prompts": ["the cat"],
    }  # fmt: skip
    path = home / "run.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


def config_of(home, **more):
    """The settings of `run_file` as an object."""
    import yaml

    return make_config(yaml.safe_load(run_file(home, **more).read_text(encoding="utf-8")), home=home)
