"""The commands as a user starts them, and the page in a real browser."""

import json

import pandas as pd
import pytest

from browser import chromium, complaints, cut_charts, open_page, requests
from commands import tokenworth
from test_corpus_build import BASE, files, written

HOSTILE = "</script><script>window.pwned = 1</script><b>bold</b> "


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = files(tmp_path_factory.mktemp("corpus"))
    rows = [{"text": HOSTILE * 3}, {"text": HOSTILE + "the of and to with " * 30 + "x@y.org"}]
    (folder / "hostile.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\nnot json\n")
    return folder


@pytest.fixture(scope="module")
def built(folder):
    written(folder, sources={**BASE["sources"], "<i>hostile</i>": {"path": "hostile.jsonl"}})
    return tokenworth("corpus", "build", "corpus.yaml", "--out", "out", cwd=folder)


def test_build_tells_what_went_where(folder, built):
    assert built.code == 0, built.err
    lines = built.out.splitlines()
    assert lines[0].endswith("documents, 0.06 MB, in out")
    assert any(line.startswith("exact") and "3 exact duplicate" in line for line in lines)
    assert "hostile.jsonl, line 3: not valid JSON" in built.err
    report = json.loads((folder / "out" / "report.json").read_text())
    corpus = json.loads((folder / "out" / "corpus.json").read_text())
    assert sum(corpus["documents"].values()) == report["output"]["documents"]
    texts = pd.concat([pd.read_parquet(path) for path in (folder / "out").glob("text-*.parquet")])
    assert list(texts.columns) == ["id", "source", "text"]
    assert len(texts) == report["output"]["documents"]


def test_json_is_all_there_is_on_standard_output(folder, built):
    done = tokenworth("corpus", "build", "corpus.yaml", "--out", "out", "--json", "-q", cwd=folder)
    assert json.loads(done.out)["name"] == "corpus"
    assert done.err == ""


def test_the_page_shows_the_flow_and_no_text_acts(folder, built, tmp_path):
    with chromium(tmp_path) as driver:
        open_page(driver, folder / "out" / "report.html")
        assert complaints(driver) == []
        assert requests(driver) == []
        assert driver.execute_script("return window.pwned") is None
        assert not driver.find_elements("css selector", "main b b, main i i, main script:not([nonce])")
        count = "return document.querySelectorAll(arguments[0]).length"
        assert driver.execute_script(count, "#chart-flow .sankey-link") > 10
        assert driver.execute_script(count, "#chart-mix .bars path") == 6
        assert driver.execute_script(count, "#chart-lengths .bars path") > 0
        words = driver.find_element("css selector", "main").get_property("textContent")
        assert "window.pwned = 1" in words
        assert "near duplicate" in words
        assert driver.execute_script("return document.documentElement.scrollWidth") == 1280
        assert cut_charts(driver) == {1300: [], 800: [], 400: []}


def test_audit_counts_and_changes_nothing(folder):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    done = tokenworth("corpus", "audit", "one.parquet", "--task", folder / "task", "--json", "-q", cwd=folder)
    found = json.loads(done.out)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert found["sources"] == {"one": {"documents": 65, "bytes": found["sources"]["one"]["bytes"]}}
    assert found["personal"] == {"EMAIL": 1}
    assert found["duplicates"]["exact"]["clusters"] == 2
    assert found["duplicates"]["near"]["documents"] == 6
    assert found["quality"] == {"min_words": 1}
    assert found["contamination"] == []
    done = tokenworth("corpus", "audit", "two.jsonl", "--task", folder / "task", cwd=folder)
    assert "1 texts found in 1 documents" in done.out


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["build", "nowhere.yaml"], 2, "the corpus file nowhere.yaml cannot be read"),
        (["build", "corpus.yaml", "--engine", "spark"], 2, "choose from local, ray"),
        (["audit", "nowhere"], 2, "there is no nowhere to audit"),
        (["audit", "one.parquet", "--text", "body"], 2, "has no column body; write 'text: NAME' with one of text"),
        (["audit", "one.parquet", "--task", "nowhere.csv"], 1, "nowhere.csv"),
    ],
)
def test_misuse_is_one_sentence(folder, built, arguments, code, sentence):
    done = tokenworth("corpus", *arguments, cwd=folder)
    assert (done.code, sentence in done.err) == (code, True), done.err
    assert "Traceback" not in done.err


def test_an_absent_library_is_told_by_the_command_that_brings_it(monkeypatch):
    import sys

    from tokenworth.corpus import extract_text
    from tokenworth.errors import SettingError

    monkeypatch.setitem(sys.modules, "trafilatura", None)
    with pytest.raises(SettingError, match=r"needs trafilatura: pip install tokenworth\[corpus\]"):
        extract_text("<p>x</p>")
