"""The HTML page in a real browser: every chart drawn, nothing fetched, no text from a data set acting."""

import math
import re
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest

from browser import charts, chromium, complaints, cut_charts, open_page, requests
from report_results import PWNED, adapted, assessment, decided, empty_assessment, pretrained, ranking
from report_story import story
from tokenworth.report import write_report
from tokenworth.report.displayed_values import ABSENT, duration
from tokenworth.report.report_page import write_study_page

DEPTH = {f"chart-depth-{key}" for key in ("probe_f1", "knn_accuracy", "cv_accuracy", "label_r2", "hscore", "logme",
                                          "retained_auc", "k90", "ntps", "ar_r2")}  # fmt: skip
BEST_LAYER = {"chart-curve-retained", "chart-curve-ntps", "chart-curve-ar_r2", "chart-spectrum"}
EVERY = DEPTH | BEST_LAYER | {"chart-probes", "chart-poolings", "chart-balance", "chart-recall", "chart-confusion"}
AUTOREGRESSIVE = {"chart-depth-ntps", "chart-depth-ar_r2", "chart-curve-ntps", "chart-curve-ar_r2"}
PAGES = {
    "two classes": (assessment(), EVERY),
    "77 classes": (assessment(77, level=0.68), EVERY),
    "encoder": (assessment(6, name="all-MiniLM-L6-v2", causal=False), EVERY - AUTOREGRESSIVE),
    "nothing known": (empty_assessment(), set()),
    "ranking": (ranking(), {"chart-ranking", "chart-overlay-probe_f1", "chart-overlay-retained_auc",
                            "chart-overlay-hscore"}),
    "lora": (adapted(), {"chart-loss", "chart-reliability", "chart-confusion", "chart-diagnosis"}),
    "decision": (decided(), {"chart-routes", "chart-labels"}),
    "decision without labels": (decided(labels=False), {"chart-routes"}),
    "story": (story(), {"chart-story", "chart-overlay-probe_f1", "chart-routes", "chart-confusion"}),
    "pretraining": (pretrained(), {"chart-loss", "chart-held-out"}),
    "bag of words": (adapted(12, "bow", whole=False), {"chart-reliability", "chart-confusion"}),
}  # fmt: skip


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    return {name: write_report(result, folder / f"{name}.html") for name, (result, _) in PAGES.items()}


@pytest.fixture(scope="module", params=PAGES)
def seen(driver, pages, request):
    """Every page once, at desktop width in light, then narrowed without loading it again."""
    open_page(driver, pages[request.param])
    found = {"charts": charts(driver), "complaints": complaints(driver), "requests": requests(driver)}
    found["pwned"] = driver.execute_script("return window.pwned")
    found["markup"] = len(driver.find_elements("css selector", "main b b, main i i, main script:not([nonce])"))
    found["gaps"] = driver.execute_script(GAPS)
    found["cut"] = cut_charts(driver)
    return request.param, found


GAPS = """
const boxes = [...document.querySelectorAll(".panel")].map((panel) => panel.getBoundingClientRect());
return boxes.flatMap((a) => boxes.filter((b) => b !== a && b.top >= a.top && b.left >= a.left)
    .map((b) => Math.max(b.left - a.right, b.top - a.bottom)));
"""


def test_every_chart_is_drawn(seen):
    name, found = seen
    assert set(found["charts"]) == PAGES[name][1]
    assert all(found["charts"].values()), f"charts without a single mark: {found['charts']}"


def test_the_console_is_silent_and_nothing_is_fetched(seen):
    assert seen[1]["complaints"] == []
    assert seen[1]["requests"] == []


def test_markup_in_names_is_text(seen):
    assert seen[1]["pwned"] is None
    assert seen[1]["markup"] == 0


def test_every_mark_lies_inside_its_chart_on_every_screen(seen):
    assert seen[1]["cut"] == {1300: [], 800: [], 400: []}


def test_no_panel_touches_another(seen):
    assert min(seen[1]["gaps"], default=20) >= 14


def at(driver, page):
    """Loads the page unless it is already there, at desktop width."""
    if driver.current_url != page.resolve().as_uri():
        open_page(driver, page)


def test_a_class_named_like_a_script_is_readable_in_charts_and_tables(driver, pages):
    at(driver, pages["two classes"])
    ticks = driver.execute_script(
        "return [...document.querySelectorAll('.ytick text')].map((tick) => tick.textContent)"
    )
    assert any(tick.startswith("<script>window.pwned=1</s") for tick in ticks)
    assert PWNED in driver.find_element("id", "mistakes").text
    assert "on rotten_tomatoes <b>&amp;</b>" in driver.find_element("tag name", "h1").text


def test_hovering_shows_the_full_class_name_as_text(driver, pages):
    at(driver, pages["two classes"])
    driver.execute_script("Plotly.Fx.hover('chart-balance', [{curveNumber: 0, pointNumber: 0}])")
    assert PWNED in driver.find_element("css selector", "#chart-balance .hoverlayer").text
    assert driver.execute_script("return window.pwned") is None


def test_text_that_escaped_escaping_still_could_not_run(driver, pages, tmp_path):
    page = pages["two classes"].read_text(encoding="utf-8")
    broken = tmp_path / "broken.html"
    broken.write_text(page.replace("<main>", f"<main>{PWNED}<img src=x onerror='window.pwned=2'>"), encoding="utf-8")
    open_page(driver, broken)
    assert driver.execute_script("return window.pwned") is None
    assert any("Content Security Policy" in complaint for complaint in complaints(driver))


def test_a_click_on_a_head_sorts_and_a_second_click_turns_round(driver, pages):
    at(driver, pages["two classes"])
    k90 = next(index for index, head in enumerate(_heads(driver)) if head.text.startswith("k90"))
    known = [str(round(row["k90"])) for row in PAGES["two classes"][0].layers if row["k90"] is not None]
    assert _column(driver, k90) == [ABSENT, *known]
    _click(driver, k90)
    assert _column(driver, k90) == [*sorted(known, key=int), ABSENT]
    _click(driver, k90)
    assert _column(driver, k90) == [*sorted(known, key=int, reverse=True), ABSENT]
    assert _heads(driver)[k90].get_attribute("aria-sort") == "descending"


def _heads(driver):
    return driver.find_elements("css selector", "#layers th")


def _click(driver, column):
    driver.execute_script("arguments[0].querySelector('button').click()", _heads(driver)[column])


def _column(driver, column):
    rows = "[...document.querySelectorAll('#layers tbody tr')]"
    return driver.execute_script(f"return {rows}.map((row) => row.cells[arguments[0]].firstChild.data)", column)


def test_a_panel_without_values_says_why(driver, pages):
    at(driver, pages["encoder"])
    for panel in ("depth-ntps", "curve-ntps", "depth-ar_r2", "curve-ar_r2"):
        assert "the encoder has already seen the next token" in driver.find_element("id", f"panel-{panel}").text
    assert "No value at layer 0" in driver.find_element("id", "panel-depth-k90").text


def test_the_answer_comes_first_and_the_baseline_stands_beside_the_probe(driver, pages):
    at(driver, pages["two classes"])
    cards = driver.find_element("css selector", ".cards").text
    for figure in (
        "0.870",
        "0.750",
        "majority class 0.360",
        f"0.850{ABSENT}0.890",
        "same choice in 80% of resamples",
        "26.8 s",
    ):
        assert figure in cards
    answer = driver.find_element("css selector", ".answer").location["y"]
    assert answer < driver.find_element("css selector", ".cards").location["y"] < 900


def test_tables_and_the_command_can_be_copied_and_paper_hides_nothing(driver, pages):
    open_page(driver, pages["two classes"])
    driver.execute_script("window.taken = []; navigator.clipboard.writeText = async (text) => window.taken.push(text)")
    for button in driver.find_elements("css selector", "button.copy"):
        driver.execute_script("arguments[0].click()", button)
    taken = driver.execute_script("return window.taken")
    assert taken[-1] == f"tokenworth assess {PWNED}", "the command stands with what it made"
    layers = next(text for text in taken if text.startswith("Layer")).splitlines()
    assert len(layers) == 1 + len(PAGES["two classes"][0].layers)
    assert len({line.count("\t") for line in layers}) == 1
    closed = "return [...document.querySelectorAll('details')].filter((part) => !part.open).length"
    assert driver.execute_script(closed) > 0
    driver.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert driver.execute_script(closed) == 0


def test_77_class_names_keep_their_distance(driver, pages):
    open_page(driver, pages["77 classes"], width=400)
    for chart in ("balance", "recall", "confusion"):
        ticks = f"[...document.querySelectorAll('#chart-{chart} .ytick text')]"
        tops = driver.execute_script(f"return {ticks}.map((tick) => tick.getBoundingClientRect().top)")
        assert len(tops) == 77
        assert min(b - a for a, b in zip(sorted(tops), sorted(tops)[1:], strict=False)) > 9


def test_in_the_dark_charts_take_light_text(driver, pages):
    open_page(driver, pages["two classes"], dark=True)
    tick = driver.find_element("css selector", "#chart-balance .ytick text").value_of_css_property("fill")
    ground = driver.find_element("tag name", "body").value_of_css_property("background-color")
    assert _luminance(tick) - _luminance(ground) > 0.6
    assert complaints(driver) == []


def _luminance(colour):
    return sum(int(channel) for channel in re.findall(r"\d+", colour)[:3]) / (3 * 255)


def test_a_story_tells_what_was_fitted_in_its_own_colours(driver, pages):
    at(driver, pages["story"])
    assert driver.find_element("tag name", "h1").text.endswith(f"pretraining pays {PWNED}")
    dots = driver.execute_script("return document.getElementById('chart-story').data.at(-1)")
    assert dots["x"] == [0.52, 0.45, 0.7, 0.74]
    assert len(set(dots["marker"]["color"])) == 4
    marks = [cell.text for cell in driver.find_elements("css selector", "#examples tbody tr:first-child td")]
    assert marks[1:] == ["positive", "✓ positive", f"✗ {PWNED}"]


def test_examples_are_read_below_each_other_on_a_telephone(driver, pages):
    open_page(driver, pages["story"], width=400)
    cells = driver.find_elements("css selector", "#examples tbody tr:first-child td")
    lefts = {cell.rect["x"] for cell in cells}
    tops = [cell.rect["y"] for cell in cells]
    assert len(lefts) == 1
    assert tops == sorted(set(tops))


def test_routes_stand_below_each_other_with_their_time_the_quickest_on_top(driver, pages):
    at(driver, pages["decision"])
    shown = driver.execute_script("return document.getElementById('chart-routes').layout.annotations")
    names = [note["text"] for note in sorted(shown, key=lambda note: note["y"])]
    options = sorted(PAGES["decision"][0].options, key=lambda row: row["seconds"])
    assert all(name.endswith(duration(row["seconds"])) for name, row in zip(names, options, strict=True))
    assert names[0].startswith("bag of words")
    assert any(name.startswith("LoRA") for name in names[1:])


def test_the_chart_of_a_decision_fits_a_telephone(driver, pages):
    open_page(driver, pages["decision"], width=400)
    frame = "document.getElementById('chart-routes').closest('.scroll')"
    assert driver.execute_script(f"return {frame}.scrollWidth - {frame}.clientWidth") == 0


def test_backbones_of_one_depth_share_an_axis_of_layers(driver, pages):
    at(driver, pages["ranking"])
    axis = driver.execute_script("return document.getElementById('chart-overlay-probe_f1').layout.xaxis.title.text")
    assert axis == "layer"


def test_a_table_of_many_layers_scrolls_under_its_head(driver, tmp_path):
    layers = [{**PAGES["two classes"][0].layers[4], "layer": layer} for layer in range(31)]
    deep = replace(PAGES["two classes"][0], layers=layers, best_layer=18, poolings=[])
    open_page(driver, write_report(deep, tmp_path / "deep.html"))
    frame = "document.getElementById('layers').parentElement"
    assert driver.execute_script(f"return {frame}.clientHeight") <= 720
    top = "document.querySelector('#layers th').getBoundingClientRect().top"
    before = driver.execute_script(f"return {top}")
    assert driver.execute_script(f"{frame}.scrollTop = 500; return {top}") == before
    assert not any(cut_charts(driver).values())
    ticks = "[...document.querySelectorAll('#chart-depth-k90 .xtick text')].map((tick) => tick.textContent)"
    assert driver.execute_script(f"return {ticks}") == [str(4 * place) for place in range(8)]


def test_what_is_said_alike_of_all_backbones_is_said_once(tmp_path):
    one, two = (
        replace(result, sentences=[f"Of {place}.", "Of all alike."])
        for place, result in enumerate(ranking().assessments[:2])
    )
    text = write_report(replace(ranking(), assessments=[one, two]), tmp_path / "two.html").read_text(encoding="utf-8")
    assert [text.count(said) for said in ("Of 0.", "Of 1.", "Of all: Of all alike.", "Of all alike.")] == [1] * 4
    alone = write_report(replace(ranking(), assessments=[one]), tmp_path / "one.html").read_text(encoding="utf-8")
    assert "Of all:" not in alone
    assert "Of all alike." in alone


def test_a_ranking_marks_ties_and_names_failures(driver, pages):
    at(driver, pages["ranking"])
    rows = [row.text for row in driver.find_elements("css selector", "#backbones tbody tr")]
    assert ["tied with the best" in row for row in rows] == [False, True, False, False]
    assert f"failed: model.safetensors is cut short {PWNED}" in rows[3]
    assert len(driver.find_elements("css selector", "#backbones tr.best")) == 2
    symbols = driver.execute_script("return document.getElementById('chart-ranking').data.at(-1).marker.symbol")
    assert symbols == ["circle", "circle", "circle-open"]


def test_numbers_beyond_the_finite_are_absent_not_printed(tmp_path):
    result = assessment()
    result.layers[1] |= {"hscore": math.inf, "logme": None, "probe_f1": math.nan, "label_r2_low": -math.inf}
    page = write_report(result, tmp_path / "page.html").read_text(encoding="utf-8")
    body = page[page.index("<main>") :]
    assert re.search(r"\b(NaN|Infinity|nan|inf|None)\b", re.sub(r"window\.\w+", "", body)) is None


def test_a_study_page_sorts_and_filters(driver, tmp_path):
    table = pd.DataFrame(
        [
            {
                "key": str(i),
                "state": "finished",
                "task": task,
                "backbone": PWNED,
                "route": route,
                "seed": 0,
                "weighted_f1": f1,
            }
            for i, (task, route, f1) in enumerate([("sst2", "lora", 0.8), ("imdb", "lora", 0.7), ("imdb", "bow", 0.9)])
        ]
    )
    routes = table.pivot_table(index=["task", "backbone"], columns="route", values="weighted_f1").reset_index()
    points = pd.DataFrame(
        {"backbone": PWNED, "task": list("abcd"), "x": [1.0, 2, 3, 4], "y": [1.0, 3, 2, 4], "source": "this study"}
    )
    statistics = [{"source": "this study", "backbone": PWNED, "n": 4, "r": 0.8, "p": 0.3, "low": -1.0, "high": 1.0}]
    relation = SimpleNamespace(
        name="one", title="One against the other", x="one", y="other", points=points, statistics=statistics, line=False
    )
    open_page(driver, write_study_page("a study", table, routes, routes, [relation], tmp_path / "study.html"))
    assert set(charts(driver)) == {"chart-one"}
    assert not any(cut_charts(driver).values())
    assert not complaints(driver)
    assert driver.execute_script("return window.pwned") is None
    rows = "return [...document.querySelectorAll('#cells tbody tr')].filter((row) => !row.hidden).length"
    assert driver.execute_script(rows) == 3
    box = driver.find_element("css selector", "input.filter[data-table=cells]")
    box.send_keys("imdb lora")
    assert driver.execute_script(rows) == 1
    box.clear()
    box.send_keys("nothing at all")
    assert driver.execute_script(rows) == 0
