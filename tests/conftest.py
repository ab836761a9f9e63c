"""What several test files need: where real data lies, and nothing else."""

import os
from pathlib import Path

import pytest

from number_formats import decide
from tokenworth.backbones import formats

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is downloaded at test time


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Passes are kept for this test session alone, subprocesses included."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("TOKENWORTH_CACHE", str(folder))
        decide(folder)
        yield


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
