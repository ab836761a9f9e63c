"""Every architecture against the library's own classes: a dozen of all kinds always, all of them where time allows."""

import pytest

from architectures import FAST, Architecture, fit_for_tests
from conformance import DTYPES, GGUF_SUITE, SUITE, outcome
from gguf_files import NAMES, write_files

QUICK = ("states", "packs", "prompt", "FLOPs")
"""What takes no training, and no second look."""


def check(name, folder, checks, dtypes):
    """Every outcome right, or refused in a sentence."""
    architecture = Architecture(name)
    architecture.write(folder)
    found = {(one, dtype): outcome(one, architecture, folder, dtype) for dtype in dtypes for one in checks}
    assert {key: value for key, value in found.items() if not value.holds} == {}
    return found


@pytest.mark.parametrize("name", fit_for_tests(FAST))
def test_a_dozen_in_both_formats(name, tmp_path):
    found = check(name, tmp_path / "model", QUICK, DTYPES)
    assert found["states", "float32"].state == found["FLOPs", "float32"].state == "yes"


@pytest.mark.slow
@pytest.mark.parametrize("name", fit_for_tests())
def test_every_architecture_in_both_formats(name, tmp_path):
    check(name, tmp_path / "model", SUITE, DTYPES)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_gguf_file_in_both_formats(name, tmp_path):
    architecture, file = Architecture(name), write_files(tmp_path, name)
    found = {
        (one, dtype): outcome(one, architecture, file, dtype, GGUF_SUITE) for dtype in DTYPES for one in GGUF_SUITE
    }
    assert {key: value for key, value in found.items() if not value.holds} == {}


def test_the_page_has_rows_of_the_suite_and_nothing_wrong():
    from pathlib import Path

    page = (Path(__file__).parents[1] / "docs" / "models.md").read_text(encoding="utf-8")
    folders, files = page.split("\n# GGUF files\n")
    for part, names in ((folders, fit_for_tests()), (files, NAMES)):
        rows = {line.split("|")[1].strip(): line for line in part.splitlines() if line.startswith("| ")}
        assert list(rows) == ["architecture", *names]
        assert not [name for name, row in rows.items() if "**" in row]
