"""Redaction: what is personal goes, what only looks like it stays, and offsets are those of the input."""

import json
import sys
import time
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tokenworth.corpus.personal_data.entity_names as names_of
from test_corpus_build import made
from tokenworth.corpus import Finding, redact
from tokenworth.corpus.output.build_report import describe
from tokenworth.corpus.personal_data.redaction import TYPES
from tokenworth.errors import SettingError

PERSONAL = {
    "EMAIL": ["jane.doe+news@mail.example.co.uk", "x_y@exämple.de", "a@b.io"],
    "PHONE": ["+49 30 1234567", "+1-212-555-0187", "(212) 555-0187", "212-555-0187", "0044 20 7946 0958"],
    "SSN": ["123-45-6789", "899-99-9999"],
    "IBAN": ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "NL91ABNA0417164300"],
    "CARD": ["4111 1111 1111 1111", "5500-0055-5555-5559", "378282246310005"],
    "IP": ["192.168.17.4", "8.8.8.8", "2001:db8::8a2e:370:7334", "fe80::1ff:fe23:4567:890a"],
    "KEY": ["AKIAIOSFODNN7EXAMPLE", "ghp_" + "a1B2" * 9, "sk-proj-" + "Ab3d" * 8,
            "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----"],
}  # fmt: skip
NOT_PERSONAL = [
    "card 4111 1111 1111 1112", "card 1234567812345678", "GB82WEST12345698765433", "version 1.2.3.4", "1.2.3.4-beta",
    "v10.0.19.41", "numpy==1.26.4.1", "300.1.2.3", "000-12-3456", "666-12-3456", "123-00-4567", "on 2021-03-04 12:00:59",  # noqa: E501
    "1998-2003", "3.14159265358979", "ISBN 978-3-16-148410-0", "1,000,000,000", "std::vector::at", "12:30:45",
    "user@localhost", "@decorator", "token: Optional", "password = None", "task-specific-words-and-more", "127.0.0.1",
    "call me at 5", "pages 123-456", "0x1f:2e", "::", "section 4.3.2.1",
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, own in PERSONAL.items() for value in own])
def test_what_is_personal_is_replaced_by_its_type(kind, value):
    text = f"Before, {value} and after."
    redacted, findings = redact(text)
    assert redacted == f"Before, <{kind}> and after."
    assert [(one.type, text[one.start : one.end]) for one in findings] == [(kind, value)]


@pytest.mark.parametrize("text", NOT_PERSONAL)
def test_what_only_looks_like_it_stays(text):
    assert redact(f"Here is {text}, as it was.") == (f"Here is {text}, as it was.", [])


def test_an_assigned_secret_goes_and_its_name_stays():
    assert redact('api_key = "aB3dE5gH7j"')[0] == 'api_key = "<KEY>"'


def test_only_the_wanted_types():
    text = "a@b.io or 8.8.8.8"
    assert redact(text, ["IP"])[0] == "a@b.io or <IP>"
    with pytest.raises(SettingError, match="no type 'NAME'; there are KEY, EMAIL"):
        redact(text, ["NAME"])


@given(
    st.lists(
        st.one_of(st.text(max_size=30), st.sampled_from([one for own in PERSONAL.values() for one in own])), max_size=8
    )
)
@settings(max_examples=150, deadline=None)
def test_offsets_are_those_of_the_input_and_nothing_is_left_to_find(parts):
    text = " ".join(parts)
    redacted, findings = redact(text)
    rebuilt, last = "", 0
    for one in findings:
        assert last <= one.start < one.end <= len(text)
        assert one.type in TYPES
        rebuilt += text[last : one.start] + f"<{one.type}>"
        last = one.end
    assert rebuilt + text[last:] == redacted


def test_a_second_pass_finds_nothing():
    text = " ".join(value for own in PERSONAL.values() for value in own)
    assert redact(redact(text)[0])[1] == []


@pytest.mark.parametrize(
    "text", ["1" * 200_000, "1-" * 100_000, "a@" * 100_000, "A1" * 100_000, ":" * 200_000, "a.b@c." * 30_000, "(1" * 90_000,  # noqa: E501
             "sk-" * 60_000, "-----BEGIN " * 20_000, "eyJ" * 60_000, "1 2 3 " * 40_000, "+1 " * 60_000]
)  # fmt: skip
def test_no_text_takes_long(text):
    begin = time.perf_counter()
    redact(text)
    assert time.perf_counter() - begin < 10, "a pattern backtracks"


# -- names --------------------------------------------------------------------------------------------------------


NAMES = {"Ada Lovelace": "PERSON", "Ada": "PERSON", "London": "GPE", "Danube": "LOC", "Monday": "DATE"}


def entities(text):
    """What a recogniser says of a text: every name in it, inner ones too, by spaCy's labels."""
    found = [
        (name, label, place)
        for name, label in NAMES.items()
        for place in range(len(text))
        if text.startswith(name, place)
    ]
    return [SimpleNamespace(label_=label, start_char=at, end_char=at + len(name)) for name, label, at in found]


class Spacy:
    """Stands in for the library: one installed model, whose pipeline keeps what it was given."""

    def __init__(self):
        self.given = []

    def load(self, name, exclude):
        assert "ner" not in exclude
        if name != "en_core_web_sm":
            raise OSError(f"[E050] Can't find model '{name}'.")
        pipeline = lambda text: self.given.append(text) or SimpleNamespace(ents=entities(text))  # noqa: E731
        pipeline.meta = {"lang": "en", "name": "core_web_sm", "version": "3.8.0", "spacy_version": ">=3.8.0"}
        return pipeline


@pytest.fixture
def spacy(monkeypatch):
    library = Spacy()
    monkeypatch.setitem(sys.modules, "spacy", library)
    names_of._pipeline.cache_clear()
    names_of.recogniser.cache_clear()
    yield library
    names_of._pipeline.cache_clear()
    names_of.recogniser.cache_clear()


def test_names_are_replaced_by_their_type_and_rules_go_before(spacy):
    text = "Ada Lovelace of London, ada@London.org, met the Danube on Monday."
    redacted, findings = redact(text, names=names_of.recogniser())
    assert redacted == "<PERSON> of <PLACE>, <EMAIL>, met the <PLACE> on Monday."
    assert [(one.type, text[one.start : one.end]) for one in findings] == [
        ("PERSON", "Ada Lovelace"), ("PLACE", "London"), ("EMAIL", "ada@London.org"), ("PLACE", "Danube")
    ]  # fmt: skip
    assert redact(text)[0] == text.replace("ada@London.org", "<EMAIL>"), "not unless they are asked for"


def test_any_callable_is_a_recogniser():
    assert redact("I am Bo.", names=lambda text: [Finding("PERSON", 5, 7)]) == (
        "I am <PERSON>.",
        [Finding("PERSON", 5, 7)],
    )


def test_long_texts_are_read_in_pieces_at_the_places_of_the_whole(spacy, monkeypatch):
    monkeypatch.setattr(names_of, "_AT_ONCE", 40)
    text = "Ada Lovelace came to London. " * 9 + "x" * 100 + " Ada"
    redacted, _ = redact(text, names=names_of.recogniser())
    assert redacted == "<PERSON> came to <PLACE>. " * 9 + "x" * 100 + " <PERSON>"
    assert max(map(len, spacy.given)) == 40
    assert "".join(spacy.given) == text


def test_a_build_counts_names_and_says_which_recogniser_is_missing(spacy, tmp_path):
    rows = [{"text": "Ada Lovelace lived in London."}, {"text": "Nobody lived nowhere."}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    sources = {"a": {"path": "a.jsonl"}}
    flow, texts = made(tmp_path, sources=sources, stages={"redact": {"names": True}})
    assert set(texts["text"]) == {"<PERSON> lived in <PLACE>.", "Nobody lived nowhere."}
    assert describe(flow, tmp_path / "out")["facts"]["personal"] == {"PERSON": 1, "PLACE": 1}
    with pytest.raises(
        SettingError, match=r"cannot load the entity recogniser xx_ent \(.*python -m spacy download xx_ent"
    ):
        made(tmp_path, sources=sources, stages={"redact": {"names": True, "recogniser": "xx_ent"}})


def test_without_the_library_names_are_one_sentence(spacy, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "spacy", None)
    (tmp_path / "a.txt").write_text("Ada")
    with pytest.raises(SettingError, match="pip install spacy && python -m spacy download en_core_web_sm"):
        made(tmp_path, sources={"a": {"path": "a.txt"}}, stages={"redact": {"names": True}})
