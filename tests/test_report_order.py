"""Every kind of page has one order: answer, evidence, doubts, detail, provenance; and one head with a comparison."""

import html
import re

import pandas as pd
import pytest
import yaml

from browser import chromium, open_page
from corpora import write_corpus
from report_results import adapted, assessment, decided, empty_assessment, pretrained, ranking
from report_story import story
from result_folders import results_folder
from tokenworth.corpus.build import build
from tokenworth.corpus.corpus_file import load_corpus
from tokenworth.corpus.output.build_report import describe
from tokenworth.report import write_index, write_report
from tokenworth.report.pages.headlines import beside
from tokenworth.report.pages.page_order import DOUBTS, NEEDED, PROVENANCE, ROLES, is_ordered, roles_of
from tokenworth.report.pages.study_tables import study_says, study_sentences
from tokenworth.report.report_page import views, write_corpus_page, write_study_page
from traces import planted_part, planted_run, planted_trace, rising

RESULTS = {
    "assessment": assessment,
    "nothing known": empty_assessment,
    "ranking": ranking,
    "lora": adapted,
    "bag of words": lambda: adapted(12, "bow", whole=False),
    "decision": decided,
    "story": story,
    "pretraining": pretrained,
    "trace": lambda: planted_trace([planted_part(planted_run(), probe=rising(0.5, 0.1))]),
}
COMPARED = {
    "assessment": "weighted F1 0.870, a bag of words 0.750",
    "nothing known": "nothing could be measured",
    "ranking": "a bag of words",
    "lora": "always the most frequent class",
    "bag of words": "always the most frequent class",
    "decision": "a bag of words",
    "story": "pretraining pays",
    "pretraining": "before the run",
    "trace": "worth its cost on",
    "study": "a bag of words 0.600",
    "corpus": "of 40 documents",
    "index": "a bag of words beaten on",
}


def study_frame():
    """Two routes on two tasks, LoRA ahead on one, and a setting that only some cells have."""
    cells = [("a", "lora", 0.8), ("b", "lora", 0.5), ("a", "bow", 0.5), ("b", "bow", 0.7)]
    rows = [
        {"key": str(place), "state": "finished", "task": task, "backbone": "m" if route == "lora" else None,
         "route": route, "seed": 0, "setting max_length": 64.0 if route == "lora" else None, "weighted_f1": f1}
        for place, (task, route, f1) in enumerate(cells)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def study_page(folder):
    table = study_frame()
    routes = table.pivot_table(index="task", columns="route", values="weighted_f1").reset_index()
    return write_study_page("planted", table, routes, routes, [], folder / "study.html")


def corpus_page(folder):
    write_corpus(folder / "one.txt", n=40)
    source = {"path": "one.txt", "documents": "paragraphs"}
    (folder / "corpus.yaml").write_text(yaml.safe_dump({"sources": {"one": source}, "stages": {"exact": None}}))
    report = describe(build(load_corpus(folder / "corpus.yaml"), folder / "built"), folder / "built")
    return write_corpus_page(report, folder / "corpus.html")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    (folder / "results").mkdir()
    written = {name: write_report(made(), folder / f"{name}.html") for name, made in RESULTS.items()}
    index = write_index(results_folder(folder / "results"))
    return {**written, "study": study_page(folder), "corpus": corpus_page(folder), "index": index}


def main_of(path):
    text = path.read_text(encoding="utf-8")
    return text[text.index("<main>") : text.index("</main>")]


def test_a_page_of_each_kind_is_looked_at():
    assert {type(made()) for made in RESULTS.values()} == set(views())


@pytest.mark.parametrize("name", COMPARED)
def test_sections_stand_in_the_one_order(pages, name):
    roles = roles_of(main_of(pages[name]))
    assert is_ordered(roles), roles
    assert len(roles) == 1 + len(re.findall("<section", main_of(pages[name]))), "every section states what it is for"


@pytest.mark.parametrize("name", COMPARED)
def test_sections_of_one_role_have_one_name(pages, name):
    found = dict(re.findall(r'<section data-role="(doubts|provenance)"[^>]*>\s*<h2>([^<]*)</h2>', main_of(pages[name])))
    assert found["provenance"] == PROVENANCE
    assert found.get("doubts", DOUBTS) == DOUBTS


@pytest.mark.parametrize("name", COMPARED)
def test_the_head_says_what_the_figure_is_to_be_compared_with(pages, name):
    heading = re.search(r"<h1>(.*?)</h1>", main_of(pages[name]), re.S)
    words = html.unescape(re.sub("<[^>]*>", "", heading.group(1)))
    assert COMPARED[name] in words
    answered = re.search(r"<p>\w", main_of(pages[name]).partition('data-role="answer"')[2])
    assert answered or name == "nothing known", "and words answer"


@pytest.mark.parametrize(
    "roles",
    [(), NEEDED[:2], (*NEEDED, "detail"), ("evidence", *NEEDED), ("answer", *NEEDED), (*ROLES, "provenance")],
    ids=str,
)
def test_another_order_is_seen(roles):
    assert not is_ordered(roles)
    assert is_ordered([*ROLES])
    assert is_ordered(NEEDED)


def test_text_of_a_data_set_is_no_section():
    assert roles_of("&lt;section data-role=&#34;doubts&#34;&gt;") == []


@pytest.mark.parametrize(
    ("value", "compared", "words"),
    [(0.5, 0.25, "F1 0.500, words 0.250"), (0.5, None, "F1 0.500"), (None, float("nan"), "nothing could be measured")],
)
def test_a_head_leaves_out_what_is_not_known(value, compared, words):
    assert beside("F1", value, "words", compared) == words


def test_a_study_says_on_how_many_tasks_a_route_is_ahead(pages):
    text = html.unescape(main_of(pages["study"]))
    assert "LoRA: mean weighted F1 0.650 over 2 tasks, where a bag of words has 0.600; ahead on 1 of 2." in text
    assert ">64<" in text.replace("\n", ""), "a count stays one where some cells have none"
    for head in ("LoRA", "Bag of words", "Max length"):
        assert f">{head}<" in text


def test_the_head_of_a_study_begins_with_the_winner():
    table = study_frame()
    table.loc[table["route"] == "bow", "weighted_f1"] = 0.9
    assert study_says(table, "weighted_f1").startswith("a bag of words wins, mean weighted F1 0.900; of backbones")


def test_of_a_loss_the_least_is_the_best():
    """Log-loss of LoRA .8 and .5, of a probe .3 and .4, of the bag of words .5 and .7."""
    table = study_frame().rename(columns={"weighted_f1": "log_loss"})
    probe = table[table["route"] == "lora"].assign(route="probe", log_loss=[0.3, 0.4])
    table = pd.concat([table, probe], ignore_index=True)
    assert study_says(table, "log_loss") == (
        "the best route of a backbone is probe, mean log-loss 0.350, a bag of words 0.600"
    )
    lora = "LoRA: mean log-loss 0.650 over 2 tasks, where a bag of words has 0.600; ahead on 1 of 2."
    assert study_sentences(table, "log_loss")[1] == lora
    without = table[table["route"] != "probe"]
    assert study_says(without, "log_loss").startswith("a bag of words wins, mean log-loss 0.600;")


WIDER = """
const parts = [...document.querySelectorAll(".scroll, figure.panel")];
return parts.filter((part) => part.scrollWidth > part.clientWidth + 1).map((part) => part.innerHTML.slice(0, 60));
"""


@pytest.mark.slow
def test_on_paper_nothing_is_wider_than_the_sheet(pages, tmp_path):
    with chromium(tmp_path / "profile") as driver:
        for name, path in pages.items():
            open_page(driver, path, width=1300)
            before = driver.execute_script("return [...document.querySelectorAll('.chart')].map((c) => c.clientWidth)")
            driver.execute_script("dispatchEvent(new Event('beforeprint'))")
            assert driver.execute_script("return document.querySelector('main').clientWidth") <= 718
            assert driver.execute_script(WIDER) == [], name
            driver.execute_script("dispatchEvent(new Event('afterprint'))")
            after = driver.execute_script("return [...document.querySelectorAll('.chart')].map((c) => c.clientWidth)")
            assert after == before, name
