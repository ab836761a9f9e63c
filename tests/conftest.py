"""What several test files need: where real data lies, and nothing else."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import tokenworth.base.machine as machine
import tokenworth.base.number_format as formats
from number_formats import decide

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is downloaded at test time


_KEPT, _BEFORE = pytest.StashKey[TemporaryDirectory](), pytest.StashKey[str | None]()
_UNMARKED = (
    "computes in the number format that dtype auto stands for: mark it with @pytest.mark.formats, so that it runs in "
    "float32 and in bfloat16, or name a dtype"
)


def pytest_sessionstart(session):
    """Passes are kept for this test session alone, subprocesses included."""
    session.stash[_KEPT], session.stash[_BEFORE] = TemporaryDirectory(prefix="tests-"), os.environ.get(machine.CACHE)
    os.environ[machine.CACHE] = session.stash[_KEPT].name


def pytest_sessionfinish(session):
    if session.stash[_BEFORE] is None:
        os.environ.pop(machine.CACHE, None)
    else:
        os.environ[machine.CACHE] = session.stash[_BEFORE]
    session.stash[_KEPT].cleanup()


def _computes_in_auto(item):
    """Whether a test says that it computes in what auto stands for, or itself what that is."""
    return item.get_closest_marker("formats") is not None or "auto" in item.fixturenames


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Tests of both formats find a decision; others none, so that one they ask for is one that is made."""
    formats._decided.cache_clear()
    if _computes_in_auto(item):
        decide(Path(item.session.stash[_KEPT].name))
    else:
        formats.decision_file().unlink(missing_ok=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A test that computes in auto runs in one format only if it is not marked: it fails."""
    report = yield
    if call.when == "call" and report.passed and not _computes_in_auto(item):
        asked_elsewhere = formats.decision_file().exists()  # by a process it started, on a processor that has both
        if formats._decided.cache_info().currsize or asked_elsewhere:
            report.outcome, report.longrepr = "failed", f"{item.nodeid} {_UNMARKED}"
    return report


@pytest.fixture
def auto(tmp_path, monkeypatch):
    """Called with a format, dtype auto stands for it from then on, here and in processes that are started."""
    monkeypatch.setenv("TOKENWORTH_CACHE", str(tmp_path / "cache of formats"))

    def stands_for(dtype):
        decide(tmp_path / "cache of formats", dtype)
        formats._decided.cache_clear()  # this process had decided; another would not have

    yield stands_for
    formats._decided.cache_clear()


@pytest.fixture(params=["float32", "bfloat16"])
def number_format(request, auto):
    """Both formats that auto may stand for, one after the other; the name of the one."""
    auto(request.param)
    return request.param


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real tasks and models; users do not have it, so its tests are skipped without it."""
    path = Path(os.environ.get("TOKENWORTH_SHARED", Path(__file__).parents[2] / "shared"))
    if not (path / "data" / "tasks").is_dir():
        pytest.skip(f"real data not found at {path}; set TOKENWORTH_SHARED to its folder")
    return path
