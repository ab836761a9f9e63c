"""What the golden cases are made of: seeded texts, tables, pages and small models, and what is read of a folder."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from small_models import WORDS, write_folder, write_model

PROSE = [
    "the",
    "of",
    "and",
    "to",
    "with",
    "have",
    "that",
    "be",
    "lamp",
    "river",
    "stone",
    "cloud",
    "garden",
    "window",
    "engine",
    "letter",
    "morning",
    "winter",
    "paper",
    "ship",
    "music",
    "table",
    "street",
    "forest",
    "island",
    "bridge",
    "market",
    "orange",
    "silver",
    "doctor",
    "teacher",
    "captain",
]
COMMON, OWN = WORDS[:10], 10


# -- texts --------------------------------------------------------------------------------------------------------


def labelled(n: int, classes: int, seed: int, named: str) -> list[tuple[str, str]]:
    """Texts of 3 to 11 words; a good third of them from ten words of the class's own."""
    rng = random.Random(seed)
    rows = []
    for number in range(n):
        own = WORDS[OWN * (1 + number % classes) :][:OWN]
        words = [rng.choice(own if rng.random() < 0.4 else COMMON) for _ in range(rng.randint(3, 11))]
        rows.append((" ".join(words), f"{named}{number % classes}"))
    rng.shuffle(rows)
    return rows


def write_task(path: Path, n: int = 90, classes: int = 3, seed: int = 0, named: str = "class ") -> str:
    """A table of labelled texts, the classes by name and number; "w5" names them by words that the models know."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *labelled(n, classes, seed, named)])
    return str(path)


def prose(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(PROSE, k=words)).capitalize() + "."


def documents(n: int, seed: int, words: int = 24) -> list[str]:
    rng = random.Random(seed)
    return [prose(rng, rng.randint(words // 2, 2 * words)) for _ in range(n)]


def write_documents(path: Path, texts: Iterable[str]) -> Path:
    path.write_text("\n\n".join(texts), encoding="utf-8")
    return path


def noise(n: int, seed: int) -> list[str]:
    """Documents of letters at random, of which nothing can be learnt."""
    rng = random.Random(seed)
    return ["".join(chr(rng.randint(97, 122)) for _ in range(100)) for _ in range(n)]


def write_yaml(path: Path, values: Any) -> Path:
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


# -- models -------------------------------------------------------------------------------------------------------


def model_at(folder: Path, family: str = "llama", **changes: Any) -> str:
    """A small model of the made-up words, with weights of ordinary size, so that training behaves."""
    return str(write_folder(folder, family, **{"initializer_range": 0.1, **changes}))


def prose_model(folder: Path, **changes: Any) -> str:
    """A small decoder that reads the words of `prose`."""
    import transformers

    write_model(folder, "llama", lm_head=True, **changes)
    vocabulary = {word: index for index, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", *PROSE])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.normalizer, inner.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=inner, **names).save_pretrained(folder)
    return str(folder)


# -- running ------------------------------------------------------------------------------------------------------


def command(home: Path, *arguments: object) -> str:
    """What a command line prints in a folder; it has to end well."""
    from tokenworth.cli import main

    out, err, before, place = io.StringIO(), io.StringIO(), sys.argv, Path.cwd()
    sys.argv = ["tokenworth", *map(str, arguments)]
    os.chdir(home)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as ended:
        if ended.code:
            raise AssertionError(f"{sys.argv} ended with {ended.code}: {err.getvalue()}") from ended
    finally:
        sys.argv = before
        os.chdir(place)
    return out.getvalue()


class Stop:
    """Progress that ends a run by Ctrl-C at the n-th step of a kind."""

    def __init__(self, what: str, step: int) -> None:
        self.what, self.left = what, step

    def __call__(self, what: str, _done: int, _total: int) -> None:
        self.left -= what == self.what
        if self.left == 0:
            raise KeyboardInterrupt


def interrupted(run: Callable[..., Any], what: str, step: int) -> None:
    """Call with such a progress; that it was stopped is certain afterwards."""
    try:
        run(progress=Stop(what, step))
    except KeyboardInterrupt:
        return
    raise AssertionError(f"the run ended before step {step}")


def in_two_processes(work: Callable[[Path], None], home: Path) -> None:
    """Call a function in two processes that know of each other as torchrun's do."""
    import torch

    from commands import free_port
    from processes import forked

    port, threads = str(free_port()), torch.get_num_threads()
    group = {**os.environ, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    facts = [{**group, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]
    ranks = [forked(_in_rank, work, home, i, threads, environment=rank) for i, rank in enumerate(facts)]
    for process in ranks:
        process.start()
    while any(process.is_alive() for process in ranks) and not any(process.exitcode for process in ranks):
        time.sleep(0.02)
    codes = [process.exitcode for process in ranks]
    for process in ranks:
        process.kill()
        process.join()
    assert codes == [0, 0], f"the two processes ended with {codes}"


def _in_rank(work: Callable[[Path], None], home: Path, rank: int, threads: int) -> None:
    """Ends at once afterwards: threads of gloo that outlive the interpreter would end the process by a signal."""
    import torch

    torch.set_num_threads(threads)
    try:
        work(home)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    (home / f"rank {rank} is done").touch()
    while not all((home / f"rank {rank} is done").exists() for rank in range(2)):
        time.sleep(0.01)
    os._exit(0)


# -- reading ------------------------------------------------------------------------------------------------------


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def digest(text: str | bytes) -> str:
    return sha256(text.encode() if isinstance(text, str) else text).hexdigest()[:16]


def weights(file: Path) -> dict[str, Any]:
    """Names and shapes of a safetensors file, and a digest of all its bits."""
    import torch
    from safetensors.torch import load_file

    tensors = dict(sorted(load_file(file).items()))
    whole = sha256()
    for name, tensor in tensors.items():
        whole.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        whole.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
    return {"tensors": len(shapes), "names": digest(json.dumps(shapes)), "bits": whole.hexdigest()[:16]}


def all_weights(folder: Path) -> dict[str, Any]:
    """Of every safetensors file below a folder."""
    return {str(path.relative_to(folder)): weights(path) for path in sorted(folder.rglob("*.safetensors"))}


def columns(path: Path) -> dict[str, Any]:
    """A .parquet or .csv table: types and values, column by column; digests of long texts."""
    import pandas as pd

    table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    return {str(name): {"type": str(table[name].dtype), "values": table[name].tolist()} for name in table}
