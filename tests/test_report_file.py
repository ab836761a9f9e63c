"""Writing the page: whole or not at all, in any folder, with one sentence when it cannot be written."""

import errno
import os
from pathlib import Path

import pytest

from report_results import assessment, ranking
from tokenworth.assessment import Assessment
from tokenworth.errors import SettingError, TokenworthError
from tokenworth.report import write_report


def test_the_folder_is_made_and_nothing_but_the_page_is_left(tmp_path):
    path = write_report(assessment(), str(tmp_path / "a" / "b" / "report.html"))
    assert path == tmp_path / "a" / "b" / "report.html"
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_the_page_holds_the_chart_library_once_and_no_address_to_load_from(tmp_path):
    page = write_report(ranking(), tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("* plotly.js v") == 1
    head = page[: page.index("<script")]
    assert "src=" not in head
    assert "<link" not in head
    assert "default-src 'none'" in head


def test_the_same_result_gives_the_same_page(tmp_path):
    first, second = (write_report(assessment(), tmp_path / name) for name in ("a.html", "b.html"))
    assert first.read_bytes() == second.read_bytes()


def test_a_folder_in_place_of_a_file(tmp_path):
    with pytest.raises(TokenworthError, match=r"is a folder; name the report's file, for example .*report\.html"):
        write_report(assessment(), tmp_path)


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "out").write_text("taken")
    with pytest.raises(TokenworthError, match=r"could not be written to .*out/report\.html \(.+\); free some space"):
        write_report(assessment(), tmp_path / "out" / "report.html")


def test_a_full_disk_leaves_the_old_page_and_no_half_page(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("the old page")
    whole = Path.write_text

    def half(self, text, **options):
        whole(self, text[:1000], **options)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(TokenworthError, match="No space left on device"):
        write_report(assessment(), path)
    assert path.read_text() == "the old page"
    assert list(tmp_path.iterdir()) == [path]


def test_something_that_is_no_result():
    with pytest.raises(
        SettingError,
        match=r"given a dict; give it what assess\(\), rank\(\), adapt\(\), decide\(\) or "
        r"trace\(\) returned",
    ):
        write_report({}, "report.html")


def test_a_result_of_a_kind_derived_from_another_has_its_page(tmp_path):
    class Mine(Assessment):
        pass

    mine = Mine(**vars(assessment()))
    assert (
        write_report(mine, tmp_path / "a.html").read_bytes() == write_report(assessment(), tmp_path / "b").read_bytes()
    )
