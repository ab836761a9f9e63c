"""`transformers serve`, a server that many have: the route, its counts and its faults, on the loopback."""

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest
import transformers

import commands
from planted import planted_task
from small_models import write_folder
from tokenworth.adaptation import adapt
from tokenworth.errors import EndpointError
from tokenworth.tasks import load_task

NEEDS = ("fastapi", "uvicorn", "openai")
pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in NEEDS),
    reason="transformers[serving] is not installed, so there is no real server",
)
REAL = Path(os.environ.get("TOKENWORTH_SERVED", "/nonexistent"))
"""Folder of a chat model with weights of safetensors."""
CHAT = "{% for m in messages %}w51 {{ m['content'] }} {{ eos_token }} {% endfor %}w52 "
_STARTING = 240


class Served:
    """A model behind `transformers serve`, in a process of its own."""

    def __init__(self, folder, log):
        self.name, self._port = str(folder), commands.free_port()
        self.url = f"http://127.0.0.1:{self._port}/v1"
        code = "from transformers.cli.transformers import main; main()"
        line = [sys.executable, "-c", code, "serve", self.name, "--host", "127.0.0.1", "--port", self._port]
        self._log = log.open("w")
        self._process = subprocess.Popen([*map(str, line), "--device", "cpu"], stdout=self._log, stderr=self._log)

    def __enter__(self):
        end = time.monotonic() + _STARTING
        while not self._is_up():
            assert self._process.poll() is None, "the server has ended"
            assert time.monotonic() < end, "the server did not come up"
            time.sleep(0.2)
        return self

    def _is_up(self):
        try:
            with urlopen(f"http://127.0.0.1:{self._port}/health", timeout=5):
                return True
        except OSError:
            return False

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(30)
        self._log.close()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = write_folder(tmp_path_factory.mktemp("served") / "llama", "llama", lm_head=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(folder)
    with Served(folder, folder.parent / "log") as server:
        yield server


def settings(server, **more):
    return {"url": server.url, "mislabelled": False, "timeout": 120.0, **more}


def test_a_small_model_is_asked_in_words(small, tmp_path):
    """It passes over log-probabilities and schemata; a random model's words name no class but by chance."""
    task, words = planted_task(40, 12), {"class 0": "w40", "class 1": "w41"}
    config = settings(small, template="{text} w30", label_words=words, price_in=1.0, price_out=2.0)
    cache = str(tmp_path / "cache")
    result = adapt(f"endpoint:{small.name}", task, "prompt", config=config, out=tmp_path / "out", cache=cache)
    asked = result.facts["endpoint"]
    assert asked["form"] == "text"
    assert asked["texts"] == 12
    assert (result.predictions["predicted"] == "").sum() == asked["unparsable"] + asked["refused"]
    assert result.cost["tokens_in"] > 12
    assert result.cost["money"] > 0
    again = adapt(f"endpoint:{small.name}", task, "prompt", config=config, cache=cache)
    assert again.cost["questions_found"] == again.cost["questions"]
    assert again.metrics == result.metrics


def test_another_model_is_refused_in_a_sentence(small, tmp_path):
    with pytest.raises(EndpointError, match=r"takes no question to 'other' .*pinned"):
        adapt("endpoint:other", planted_task(40, 12), "prompt", config=settings(small), cache=str(tmp_path / "cache"))


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="TOKENWORTH_SERVED names no folder of a chat model")
def test_a_real_model_answers_in_words_of_classes(shared, tmp_path):
    """Examples show how to answer: with them most answers name a class, and without them fewer do."""
    task = load_task(str(shared / "data" / "tasks" / "sst2")).sample(40, seed=0)
    with Served(REAL, tmp_path / "log") as server:
        unclear = []
        for shots in (0, 4):
            config = settings(server, shots=shots, chat=False, answers="text")
            done = adapt(f"endpoint:{REAL}", task, "prompt", config=config, cache=str(tmp_path / "cache"))
            unclear.append(done.facts["endpoint"]["unparsable"])
    assert unclear[1] < 0.4 * len(task.test)
    assert unclear[1] < unclear[0]
