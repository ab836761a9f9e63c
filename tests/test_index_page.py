"""The page of an index in a real browser: sorted, filtered, compared, loaded anew; and the command in a process."""

import json
import os
import signal
import time
from urllib.parse import unquote, urlsplit

import pytest

import commands
from browser import chromium, complaints, open_page, requests, screenshot
from result_folders import KINDS, TEXTS, results_folder, run_text, write_result
from routes import run
from tokenworth.report import write_index
from tokenworth.report.index.folder_reader import FolderReader
from tokenworth.report.index.index_file import save_index
from tokenworth.report.index.result_comparison import compare_entries

WIDTHS = (1300, 800, 400)


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = results_folder(tmp_path_factory.mktemp("out"))
    write_result(home / "it's another", "result.json", run_text(f1=0.9, seed=1))
    write_result(home / "cut", "result.json", run_text()[:900])
    write_index(home)
    return home


@pytest.fixture
def page(driver, home):
    """The page as it is opened for the first time, at desktop width."""
    driver.get("about:blank")
    open_page(driver, home / "index.html", width=1300)
    return driver


def shown(driver):
    return driver.execute_script(
        "return [...document.querySelectorAll('#results tbody tr')].filter((row) => row.offsetParent !== null)"
        ".map((row) => row.querySelector('td small').textContent)"
    )


def orders(driver, column):
    """What the visible rows are sorted by in a column."""
    return driver.execute_script(
        "return [...document.querySelectorAll('#results tbody tr')].filter((row) => row.offsetParent !== null)"
        ".map((row) => row.cells[arguments[0]].dataset.order)",
        column,
    )


def visible(driver, selector):
    return driver.execute_script(
        "return [...document.querySelectorAll(arguments[0])].filter((each) => each.getClientRects().length).length",
        selector,
    )


def pick(driver, name, value):
    driver.execute_script(
        "const list = document.getElementById(arguments[0]); list.value = arguments[1];"
        "list.dispatchEvent(new Event('change'))",
        name,
        value,
    )


def click(driver, selector):
    driver.execute_script("document.querySelector(arguments[0]).click()", selector)


def head(driver, name):
    button = f"[...document.querySelectorAll('#results th button')].find((each) => each.textContent === '{name}')"
    driver.execute_script(f"{button}.click()")


def choose(driver, *places):
    script = (
        "const row = [...document.querySelectorAll('#results tbody tr')]"
        ".find((row) => row.querySelector('td small').textContent === arguments[0]); row.querySelector('input').click()"
    )
    for place in places:
        driver.execute_script(script, place)


def test_the_page_is_whole_at_every_width_in_light_and_dark(driver, home, tmp_path):
    for width in WIDTHS:
        open_page(driver, home / "index.html", width=width, dark=width == 800)
        assert driver.execute_script("return document.documentElement.scrollWidth") == width
        assert complaints(driver) == []
        assert requests(driver) == []
        assert driver.execute_script("return window.pwned") is None
        assert driver.execute_script(OUTSIDE) == []
        screenshot(driver, tmp_path / f"{width}.png")


def test_on_paper_the_table_has_all_its_columns(driver, home):
    open_page(driver, home / "index.html", width=718)  # A4 with margins
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert driver.execute_script("return document.getElementById('results').scrollWidth") <= 718
        assert driver.execute_script("return document.documentElement.scrollWidth") <= 718
        assert not driver.find_element("css selector", ".controls").is_displayed()
    finally:
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


OUTSIDE = """
return [...document.querySelectorAll(".multiple")].flatMap((panel) => {
  const frame = panel.getBoundingClientRect();
  return [...panel.querySelectorAll("circle, text, line, polyline")].filter((mark) => {
    if (!mark.getClientRects().length) return false;  // of a row that is not shown
    const box = mark.getBoundingClientRect();
    return box.left < frame.left || box.right > frame.right || box.top < frame.top || box.bottom > frame.bottom;
  }).map((mark) => mark.outerHTML);
});
"""


def test_on_a_telephone_rows_are_read_below_each_other_and_sorted_by_a_list(driver, home):
    open_page(driver, home / "index.html", width=400)
    cells = driver.execute_script(
        "return [...document.querySelector('#results tbody tr').cells].map((cell) => cell.getBoundingClientRect().left)"
    )
    assert len(set(cells)) == 1
    assert driver.execute_script("return document.getElementById('results').scrollWidth") < 400
    pick(driver, "sort", "3")
    figures = orders(driver, 3)
    known = [float(figure) for figure in figures if figure]
    assert known == sorted(known)
    assert len(known) < len(figures)
    assert figures[: len(known)].count("") == 0, "what has none stands last"


def test_parts_of_a_study_are_shown_when_asked_for(page):
    assert set(shown(page)) == {*KINDS, "it's another"}
    click(page, ".kinds button[data-kind=part]")
    assert {place for place in shown(page) if place.startswith("study/cells/")} == {
        f"study/cells/{key}/run" for key in ("aa", "bb")
    }


def test_rows_and_marks_are_filtered_by_words_kind_and_task(page):
    box = page.find_element("css selector", "input.filter")
    box.send_keys("lora rotten")
    assert set(shown(page)) == {"lora", "it's another", "study"}
    assert visible(page, ".multiple a[data-row]") == 2
    click(page, ".kinds button[data-kind=study]")
    assert set(shown(page)) == {"lora", "it's another"}
    assert page.find_element("css selector", ".count").text.startswith("2 of ")
    box.clear()
    box.send_keys(" ")
    pick(page, "task", "planted")
    assert shown(page) == ["trace"]
    assert visible(page, ".multiple") == 1


def test_heads_sort(page):
    head(page, "Ahead by")
    leads = orders(page, 5)
    known = [float(lead) for lead in leads if lead]
    assert known == sorted(known)
    head(page, "Ahead by")
    assert shown(page)[0] == "pretrained"


def test_every_link_leads_to_a_page(page, home):
    links = page.execute_script(
        "return [...document.querySelectorAll('main a')].map((link) => link.getAttribute('href'))"
    )
    assert len(set(links)) >= len(KINDS)
    assert all(link.startswith("./") and (home / unquote(urlsplit(link).path)).is_file() for link in links)
    for link in sorted(set(links)):
        page.get((home / "index.html").as_uri().rpartition("/")[0] + link[1:])
        assert page.execute_script("return document.body.textContent.length") > 0


def test_two_chosen_results_are_compared_as_the_command_does_it(page, home):
    choose(page, "lora", "it's another")
    index = FolderReader(home).read()
    entries = [next(entry for entry in index.entries if entry.place == place) for place in ("lora", "it's another")]
    changes = compare_entries(*entries).changes
    rows = page.execute_script(
        "return [...document.querySelectorAll('.changes tbody tr')].map((row) => [row.dataset.section,"
        " row.cells[0].lastChild.textContent, row.cells[1].textContent, row.cells[2].textContent])"
    )
    assert rows == [[change.section, change.name, change.first, change.second] for change in changes]
    words = page.find_element("id", "comparison").text
    assert "Both are on the same texts, labels and split." in words
    assert "tokenworth index . --compare lora 'it'\\''s another'" in words
    assert "+0.029" in words


def test_a_third_takes_the_place_of_the_first_and_two_kinds_are_not_compared(page):
    choose(page, "lora", "bow", "served")
    links = [link.text for link in page.find_elements("css selector", "#comparison p a")]
    assert [link.rpartition("(")[2] for link in links] == ["bow)", "served)"]
    choose(page, "reviews")
    assert not page.find_element("id", "comparison").is_displayed()
    assert "are of two kinds" in page.find_element("css selector", ".chosen").text
    click(page, ".chosen .clear")
    assert not page.find_element("css selector", ".chosen").is_displayed()


def test_results_on_other_texts_are_said_to_be_so(page):
    choose(page, "reviews", "reviews-again")
    assert "same texts" in page.find_element("id", "comparison").text
    assert TEXTS in page.find_element("id", "facts").get_attribute("textContent")


def test_a_watched_page_loads_itself_anew_and_keeps_what_was_chosen(driver, home):
    save_index(FolderReader(home).read(), reload_seconds=1)
    open_page(driver, home / "index.html", width=1300)
    driver.find_element("css selector", "input.filter").send_keys("lora")
    head(driver, "Figure")
    head(driver, "Figure")
    choose(driver, "lora", "it's another")
    before = shown(driver)
    driver.execute_script("window.before = true")
    write_result(home / "lora-later", "result.json", run_text(f1=0.95))
    save_index(FolderReader(home).read(), reload_seconds=1)
    _until(lambda: not driver.execute_script("return window.before"))
    assert shown(driver) == ["lora-later", *before]
    assert driver.execute_script("return document.activeElement.className") == "filter"
    assert driver.find_element("id", "comparison").is_displayed()
    assert complaints(driver) == []


def _until(there):
    for _ in range(600):
        if there():
            return
        time.sleep(0.1)
    raise TimeoutError("nothing has come in a minute")


# --- the command


@pytest.fixture
def own(tmp_path):
    return results_folder(tmp_path / "out")


def test_the_command_writes_the_page_and_lists_what_there_is(own):
    (own / "bow" / "result.json").write_text("{")
    done = commands.tokenworth("index", "out", cwd=own.parent)
    assert done.code == 0, done.err
    assert "bag of words 0.800" in next(line for line in done.out.splitlines() if line.rstrip().endswith(" lora"))
    assert "! bow/result.json holds no result of adapt" in done.err
    assert "index: out/index.html" in done.err
    assert (own / "index.html").is_file()
    facts = json.loads(commands.tokenworth("index", "out", "--json", "-q", cwd=own.parent).out)
    kinds = {row["folder"]: row["kind"] for row in facts["results"] if not row["part_of"]}
    assert kinds == {place: kind for place, kind in KINDS.items() if place != "bow"}
    assert [fault["file"] for fault in facts["faults"]] == ["bow/result.json"]


def test_the_command_compares_two_results(own):
    write_result(own / "again", "result.json", run_text(f1=0.9, seed=1))
    done = commands.tokenworth("index", "out", "--compare", "lora", "again", cwd=own.parent)
    assert done.code == 0, done.err
    assert "A: LoRA, wikinovels-14m (lora)" in done.out
    assert "+0.029" in done.out
    assert "! no test of the difference: " in done.err, "no predictions lie beside made-up results"
    assert not (own / "index.html").exists()
    facts = json.loads(commands.tokenworth("index", "out", "--json", "--compare", "lora", "again", cwd=own.parent).out)
    assert facts["same_texts"]
    assert {change["section"] for change in facts["changes"]} == {"Settings", "Numbers"}


def test_runs_on_the_same_texts_are_tested_first(tmp_path):
    run(None, "bow", tmp_path / "one")
    run(None, "bow", tmp_path / "two", train_size=20)
    done = commands.tokenworth("index", ".", "--compare", "one", "two", cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.out.index("McNemar's exact test") < done.out.index("train size")
    facts = json.loads(commands.tokenworth("index", ".", "--compare", "one", "two", "--json", cwd=tmp_path).out)
    assert [row["run"] for row in facts["runs"]] == ["one", "two"]
    assert 0 <= facts["runs"][1]["p_value"] <= 1


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["nowhere"], 2, "nowhere is no folder"),
        (["out", "--compare", "lora", "reviews"], 2, "only two results of one kind can be compared"),
        (["out", "--watch", "--json"], 2, "--watch keeps a page"),
        (["out", "--watch", "--every", "0"], 2, "--every must be at least 0.2"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(own, arguments, code, sentence):
    done = commands.tokenworth("index", *arguments, cwd=own.parent)
    assert (done.code, done.out) == (code, "")
    assert sentence in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_watch_writes_the_page_anew_and_ends_cleanly(own, number):
    started = commands._started(["index", "out", "--watch", "--every", "0.2"], own.parent, {})
    page = own / "index.html"
    _until(lambda: page.is_file() and 'data-reload="5"' in page.read_text(encoding="utf-8"))
    write_result(own / "later", "result.json", run_text(f1=0.93))
    _until(lambda: "./later/report.html" in page.read_text(encoding="utf-8"))
    os.kill(started[0].pid, number)
    done = commands._ended([started])[0]
    assert (done.code, done.out) == (128 + number, ""), done.err
    assert done.err.splitlines()[-1] == "tokenworth: interrupted"
    assert 'data-reload="5"' not in page.read_text(encoding="utf-8")
    assert not [path for path in own.iterdir() if path.name.endswith(".tmp")]
