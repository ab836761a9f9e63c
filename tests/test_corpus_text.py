"""Extraction, normalisation and quality rules on cases with known answers."""

import random
import time
from collections import Counter

import pytest

from tokenworth.corpus import Document, Ledger, extract_text
from tokenworth.corpus.filters.document_stages import Extract, Normalise, Quality
from tokenworth.corpus.filters.normalisation import language, mixed_words, normalised
from tokenworth.corpus.filters.quality_rules import QualityRules, judge
from tokenworth.corpus.readers.main_text import depth, plain_latex

PARAGRAPHS = [
    "The lighthouse was built on the northern cliff in the year of the great storm, and it has been lit every night.",
    "Its keeper writes the weather into a book, and the books of two centuries stand on a shelf in the lower room.",
    "Visitors who climb the stairs can see the islands to the west, and with some luck the ferry that goes to them.",
]
PAGE = f"""<html><head><title>Lighthouse</title><script>var secret = "tracker";</script><style>p {{}}</style></head>
<body><nav><ul><li><a href="/">Home page link</a></li><li><a href="/shop">Shop for lamps</a></li></ul></nav>
<article><h1>The lighthouse</h1>{"".join(f"<p>{text}</p>" for text in PARAGRAPHS)}</article>
<footer>Cookie settings and imprint</footer></body></html>"""
PROSE = " ".join(PARAGRAPHS)


@pytest.mark.parametrize("fast", [False, True])
def test_the_main_text_is_kept_and_what_surrounds_it_is_not(fast):
    text = extract_text(PAGE, fast=fast)
    assert all(paragraph in text for paragraph in PARAGRAPHS)
    assert not [one for one in ("tracker", "Shop for lamps", "Cookie", "<p>") if one in text]


@pytest.mark.parametrize("html", ["", "<html></html>", "<p", "\x00", "<!-- -->", "<html><body><script>x</script>"])
def test_a_page_without_text_gives_none(html):
    assert extract_text(html) == ""


def test_ten_thousand_nested_tables_lose_nothing():
    html = "<table><tr><td>" * 10_000 + f"<p>{PROSE}</p>" + "</td></tr></table>" * 10_000
    begin = time.perf_counter()
    assert PARAGRAPHS[1] in extract_text(html)
    assert time.perf_counter() - begin < 30


def test_depth_is_that_of_the_tags():
    html = "<div><p>one<br><p>two<img/><span>x</span></div>" * 900 + "<div>" * 801
    assert depth(html) == 801
    assert depth("<div>" * 700) == 0, "few tags are not counted at all"


def test_latex_without_comments_and_preamble():
    text = "\\documentclass{x} % a\n\\begin{document}\nTwo 50\\% of it% gone\nend.\n\\begin{comment}no\\end{comment}\\end{document} z"  # noqa: E501
    assert plain_latex(text) == "Two 50\\% of itend."
    assert plain_latex("only % x\ntext") == "only text"


def test_extraction_counts_what_it_did():
    documents = [
        Document(PAGE, "a", "web", "html"),
        Document("<nav></nav>", "b", "web", "html"),
        Document("x", "c", "web"),
    ]
    ledger = Ledger()
    kept = Extract()(documents, ledger)
    assert [(one.id, one.kind) for one in kept] == [("a", "text"), ("c", "text")]
    assert ledger.dropped["no main text"].documents == 1
    assert ledger.changed["text of html"].documents == 1


@pytest.mark.parametrize(
    ("text", "after", "changes"),
    [
        ("schÃ¶n", "schön", ("mojibake",)),
        ("it costs â‚¬5 â€“ fine", "it costs €5 – fine", ("mojibake",)),  # noqa: RUF001
        ("e\u0301", "é", ("composed",)),
        ("a\x00b\x07c\ufeff", "abc", ("control characters",)),
        ("a\r\nb\rc", "a\nb\nc", ("line ends",)),
        ("a\u202eb", "ab", ("control characters",)),
        ("\ud800x", "\ufffdx", ("half characters",)),
        ("“quotes”, ﬁne & naïve — 日本語 Ünïcödé\n", "“quotes”, ﬁne & naïve — 日本語 Ünïcödé\n", ()),
        ("plain &amp; ASCII", "plain &amp; ASCII", ()),
    ],
)
def test_one_form_for_one_text(text, after, changes):
    found = normalised(text)
    assert (found.text, found.changes) == (after, changes)
    assert normalised(after).changes == ()


def test_case_and_diacritics_only_where_asked():
    assert normalised("Éa", lower=True, diacritics=False).text == "ea"


def test_languages_are_told_without_a_network():
    texts = {
        "en": PROSE,
        "de": "Der Leuchtturm wurde im Jahr des großen Sturms auf der nördlichen Klippe gebaut.",
        "fr": "Le phare a été construit sur la falaise du nord pendant l'année de la grande tempête.",
        "ja": "灯台は大嵐の年に北の崖の上に建てられました。",
    }
    assert {code: language(text)[0] for code, text in texts.items()} == {code: code for code in texts}
    assert language("123 !!!") == ("und", 0.0)
    ledger = Ledger()
    documents = [Document(text, code, "web") for code, text in texts.items()]
    assert [one.id for one in Normalise(languages=("en", "fr"))(documents, ledger)] == ["en", "fr"]
    assert set(ledger.dropped) == {"language de", "language ja"}
    assert ledger.facts["languages"] == {"en": 1, "de": 1, "fr": 1, "ja": 1}


def test_disguised_words_are_counted():
    assert mixed_words("pаypal bаnk now") == pytest.approx(2 / 3)  # with Cyrillic letters  # noqa: RUF001
    assert mixed_words("Привет world, αβγ abc") == 0


REFUSED = {
    "min_words": "Too short to be of any use.",
    "max_mean_word": "antidisestablishmentarianism " * 30 + PROSE,
    "min_mean_word": "a b c d e f " * 60,
    "max_symbols": PROSE + " #" * 20,
    "max_bullet_lines": "\n".join(f"- {text}" for text in PARAGRAPHS),
    "max_ellipsis_lines": "...\n".join(PARAGRAPHS) + "...",
    "min_alphabetic_words": PROSE + " 12 34 5678" * 15,
    "min_stop_words": " ".join(f"{a}{b}" for a in ("lorel", "sanct", "mirab", "dolor") for b in "abcdefghijklmnopqrst"),
    "max_repeated_lines": "\n".join([*PARAGRAPHS, *PARAGRAPHS]),
    "lorem_ipsum": PROSE + " Lorem ipsum dolor sit amet.",
}


@pytest.mark.parametrize("rule", REFUSED)
def test_each_rule_refuses_what_it_is_for(rule):
    assert judge([PROSE, REFUSED[rule]], QualityRules())[0] is None
    off = {name: None for name in QualityRules.__dataclass_fields__ if name != "lorem_ipsum"}
    alone = QualityRules(**{**off, "lorem_ipsum": False, rule: getattr(QualityRules(), rule)})
    assert judge([PROSE, REFUSED[rule]], alone) == [None, rule]


def slow_repetition(text, n):
    words = text.lower().split()
    runs = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    most = max(runs.values(), default=0)
    top = most * n / max(1, len(words)) if most > 1 else 0
    return top, 1 - len(runs) / sum(runs.values()) if runs else 0


@pytest.mark.parametrize("n", [2, 3, 4, 5, 10])
def test_repetition_is_what_a_plain_count_says(n):
    """Each text lies on one side of a limit put between two texts' values."""
    rng = random.Random(n)
    texts = [" ".join(rng.choices("abcdefghij"[: 2 + i % 9], k=10 + 9 * i)) for i in range(20)]
    which, name = (0, f"max_top_{n}gram") if n < 5 else (1, f"max_repeated_{n}grams")
    values = [slow_repetition(text, n)[which] for text in texts]
    off = {one: None for one in QualityRules.__dataclass_fields__ if one != "lorem_ipsum"}
    for limit in (0.05, 0.21, 0.43, 0.77):
        rules = QualityRules(**{**off, "lorem_ipsum": False, name: limit})
        assert judge(texts, rules) == [name if value > limit else None for value in values]


def test_code_is_not_judged_as_prose():
    ledger = Ledger()
    kept = Quality()([Document("x = 1", "a", "s", "code"), Document("x = 1", "a", "s")], ledger)
    assert [one.kind for one in kept] == ["code"]
    assert list(ledger.dropped) == ["min_words"]


def test_ledgers_add_up_and_come_back_from_json():
    documents = [Document(text, str(i), "s") for i, text in enumerate([PROSE, "short", "", PROSE + " a@b.io"])]
    whole, left, right = Ledger(), Ledger(), Ledger()
    Quality()(documents, whole)
    Quality()(documents[:2], left)
    Quality()(documents[2:], right)
    left.add(Ledger.from_json(right.as_json()))
    assert left.as_json() == whole.as_json()
    assert whole.dropped["min_words"].documents == 2
    assert whole.samples[0] | {"before": ""} == {
        "what": "dropped", "reason": "min_words", "id": "1", "source": "s", "before": "", "after": "",
    }  # fmt: skip
