"""What several test files need: where real data lies, and nothing else."""

import os
from pathlib import Path

import pytest

from number_formats import decide

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is downloaded at test time


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Passes are kept for this test session alone, subprocesses included."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("TOKENWORTH_CACHE", str(folder))
        decide(folder)
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real tasks and models; users do not have it, so its tests are skipped without it."""
    path = Path(os.environ.get("TOKENWORTH_SHARED", Path(__file__).parents[2] / "shared"))
    if not (path / "data" / "tasks").is_dir():
        pytest.skip(f"real data not found at {path}; set TOKENWORTH_SHARED to its folder")
    return path
