"""A thousand malformed files: each is read or refused in a sentence, within 20 s and 2 GB, without a traceback.

A part of them runs always, all of them where the slow tests run; the same ones every time.
"""

import contextlib
import faulthandler
import os
import random
import shutil
import signal
import tempfile
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

import damaged_models
import damaged_results
from gguf_files import write_gguf, write_plain
from malformed_files import GOOD, malformed_settings, malformed_task
from planted import planted_task
from routes import model_at, run
from small_models import write_folder
from tokenworth.adaptation import AdaptResult, load_classifier
from tokenworth.adaptation.evaluation.comparison import compare_results
from tokenworth.adaptation.route_settings import make_config
from tokenworth.assessment import Assessment, assess
from tokenworth.backbones import load_backbone
from tokenworth.corpus.corpus_file import load_corpus
from tokenworth.errors import TokenworthError
from tokenworth.pretraining.pretraining_settings import read_config
from tokenworth.report import write_report
from tokenworth.study import load_study
from tokenworth.tasks import load_task
from tokenworth.tokenizers.tokenizer_training import train_from_file

SECONDS, BYTES = 20, 2 * 10**9
READERS = {
    "routes": make_config,
    "study": load_study,
    "corpus": load_corpus,
    "pretraining": read_config,
    "tokenizer": lambda path: train_from_file(path, path.parent / "out"),
}
SEEDS = st.integers(0, 2**32 - 1)


def examples(number):
    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    return settings(max_examples=number, derandomize=True, deadline=None, database=None, suppress_health_check=checks)


def fuzz(few, many):
    """Two tests of one: a part that always runs, and the whole where slow tests do."""
    return pytest.mark.parametrize("number", [few, pytest.param(many, marks=pytest.mark.slow)], ids=["some", "all"])


@contextlib.contextmanager
def bounds():
    """Seconds of the processor, whatever else runs here; a clock for what waits; memory beside what is in use."""
    resource = pytest.importorskip("resource", reason="limits are those of POSIX")

    def stop(*_):
        pytest.fail(f"took more than {SECONDS} s")

    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else None
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGPROF, stop)
    faulthandler.dump_traceback_later(20 * SECONDS, exit=True)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    if pages is not None:
        resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + BYTES, hard))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGPROF, before)


def read_or_refused(call, what):
    """Whether it was read; a refusal is a sentence of the package."""
    note(what)
    refusal = None
    try:
        with bounds(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # libraries may say more; they may not end in more
            call()
    except TokenworthError as error:
        refusal = str(error)
    if refusal is not None:
        assert 0 < len(refusal) < 5000
        assert "Traceback" not in refusal
    return refusal is None


@contextlib.contextmanager
def folder():
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        yield Path(place)


@fuzz(100, 400)
@pytest.mark.parametrize("kind", GOOD)
def test_settings(kind, number):
    number //= len(GOOD)

    @examples(number)
    @given(SEEDS)
    def each(seed):
        with folder() as place:
            (place / "a.txt").write_text("text")
            data, what = malformed_settings(kind, random.Random(seed))
            (place / "file.yaml").write_bytes(data)
            read_or_refused(lambda: READERS[kind](place / "file.yaml"), f"{kind}: {what}")

    each()


@pytest.mark.parametrize("kind", ["routes", "study", "corpus", "pretraining"])
def test_the_files_that_are_malformed_are_good_ones_before(kind, tmp_path):
    """Else everything would be refused for the same reason."""
    (tmp_path / "a.txt").write_text("text")
    import yaml

    (tmp_path / "file.yaml").write_text(yaml.safe_dump(GOOD[kind]))
    READERS[kind](tmp_path / "file.yaml")


@fuzz(60, 200)
def test_task_files(number):
    read = []

    @examples(number)
    @given(SEEDS)
    def each(seed):
        with folder() as place:
            path, what = malformed_task(place, random.Random(seed))
            read.append(read_or_refused(lambda: load_task(path), what))

    each()
    assert 0 < sum(read) < len(read), "some are read, and some are refused"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("model") / "llama", "llama", lm_head=True)


@fuzz(10, 200)
def test_model_folders(model, number):
    @examples(number)
    @given(SEEDS)
    def each(seed):
        place, what = damaged_models.damaged(model, random.Random(seed))
        try:
            read_or_refused(lambda: damaged_models.use(place), what)
        finally:
            shutil.rmtree(place)

    each()


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    home = tmp_path_factory.mktemp("packed")
    write_gguf(write_plain(home / "plain"), home / "tiny.gguf", "Q4_1")
    return (home / "tiny.gguf").read_bytes()


@fuzz(8, 40)
def test_gguf_files(packed, number):
    """Bytes, counts and lengths before the tensors, and where the file ends."""
    n_settings = packed.index(b"token_embd.weight") + 2000

    @examples(number)
    @given(SEEDS)
    def check(seed):
        rng = random.Random(seed)
        content = bytearray(packed)
        for _ in range(rng.choice((1, 1, 3))):
            value = rng.choice((0, 1, 255, 2**16, 2**31 - 1, 2**32 - 1, 2**40, 2**63, rng.getrandbits(64)))
            size = rng.choice((1, 4, 8))
            place = rng.randrange(4, n_settings if rng.random() < 0.8 else 400)
            content[place : place + size] = (value % 2 ** (8 * size)).to_bytes(size, "little")
        if rng.random() < 0.2:
            del content[rng.randrange(len(content)) :]
        with folder() as place:
            path = place / "tiny.gguf"
            path.write_bytes(content)
            read_or_refused(lambda: load_backbone(str(path), dtype="float32", device="cpu"), f"seed {seed}")

    check()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A run of bow, one of lora, and an assessment."""
    home = tmp_path_factory.mktemp("results")
    own = model_at(home)
    run(None, "bow", home / "bow")
    run(own, "lora", home / "lora", steps=2)
    assess(own, planted_task(40, 20), out=home / "assess", cache=False)
    return home


def use_result(folder, other):
    """Everything that reads a result again."""
    if folder.name == "assess":
        write_report(Assessment.load(folder), folder / "page.html")
        return
    result = AdaptResult.load(folder)
    compare_results({"that": other, "this": result})
    write_report(result, folder / "page.html")
    load_classifier(folder).predict(["w1 w2"])


@pytest.mark.formats
@fuzz(10, 200)
def test_result_files(results, number):
    other = AdaptResult.load(results / "bow")

    @examples(number)
    @given(SEEDS)
    def each(seed):
        rng = random.Random(seed)
        name = rng.choice(["bow", "lora", "assess"])
        with folder() as place:
            shutil.copytree(results / name, place / name)
            what = damaged_results.damaged(place / name, rng)
            read_or_refused(lambda: use_result(place / name, other), f"{name}: {what}")

    each()
