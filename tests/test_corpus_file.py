"""The corpus file: every mistake in it, all at once."""

import pytest

from tokenworth.corpus.corpus_file import load_corpus
from tokenworth.corpus.corpus_settings import Mix, Source
from tokenworth.corpus.output.mixture_shares import copies, shares
from tokenworth.corpus.stages import STAGES
from tokenworth.errors import SettingError


def written(folder, text):
    (folder / "a.txt").write_text("text")
    (folder / "corpus.yaml").write_text(text)
    return folder / "corpus.yaml"


def mistakes(folder, text):
    with pytest.raises(SettingError) as caught:
        load_corpus(written(folder, text))
    return str(caught.value)


def test_the_shortest_file_has_all_stages_that_need_no_settings(tmp_path):
    corpus = load_corpus(written(tmp_path, "sources: {own: a.txt}"))
    assert corpus.name == "corpus"
    assert corpus.sources == (Source(name="own", path=str(tmp_path / "a.txt")),)
    assert [stage.name for stage in corpus.stages] == ["extract", "normalise", "quality", "redact", "exact", "near"]
    assert set(STAGES) - {stage.name for stage in corpus.stages} == {"semantic", "perplexity", "decontaminate"}


def test_settings_take_their_types(tmp_path):
    corpus = load_corpus(written(tmp_path, """
sources: {own: {path: a.txt, weight: 1, text: body, skip: [quality]}}
stages: {near: {threshold: 1}, quality: {min_words: 5, max_top_2gram: null}, normalise: {languages: en}}
mix: {total_mb: 2}
seed: 7
"""))  # fmt: skip
    near, quality, normalise = corpus.stages
    assert (near.threshold, quality.min_words, quality.max_top_2gram, normalise.languages) == (1.0, 5, None, ("en",))
    assert corpus.sources[0].text == ("body",)
    assert (corpus.mix.total_mb, corpus.seed) == (2.0, 7)


def test_every_mistake_is_told_at_once(tmp_path):
    told = mistakes(tmp_path, """
sources:
  one: {path: a.txt, weight: 0.5, wieght: 1}
  two: {path: nowhere.txt, weight: 0.4, skip: [qualty]}
  three: {path: a.txt, weight: 0.4, kind: pdf}
stages: {near: {treshold: 0.9}, dedup: , quality: {min_words: many}, redact: {types: [NAME]}, decontaminate: {n: 0}}
mix: {total_mb: -1}
sed: 3
shard_documents: 0
""")  # fmt: skip
    for part in (
        "source one has no setting 'wieght'; did you mean 'weight'?",
        f"source two: there is no {tmp_path / 'nowhere.txt'}",
        "source three: kind 'pdf' is not understood; choose one of text, jsonl",
        "source two: skip names no stage 'qualty'",
        "stage near has no setting 'treshold'; did you mean 'threshold'?",
        "stages: a corpus has no setting 'dedup'",
        "stage quality: min_words must be a whole number, not 'many'",
        "redact knows no type 'NAME'",
        "stage decontaminate: n must be at least 1, not 0",
        "mix: total_mb must be above 0, not -1",
        "a corpus has no setting 'sed'; did you mean 'seed'?",
    ):
        assert part in told
    assert "mistakes:\n" in told


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("sources: {a: {path: a.txt, weight: 0.7}, b: {path: a.txt, weight: 0.7}}", "sum to 1.4, not to 1; scaled they would be a 0.5, b 0.5"),  # noqa: E501
        ("sources: {a: {path: a.txt, weight: 1}, b: a.txt}", "some sources have weights and b none"),
        ("sources: {}", "a corpus needs sources"),
        ("stages: [near]", "a corpus needs sources"),
        ("- a", "must hold lines such as 'sources: {books: books/*.txt}', not a list"),
        ("sources: {a: a.txt}\nstages: [decontaminate]", "stage decontaminate needs tasks"),
        ("sources: {a: a.txt}\nstages: {near: {threshold: 2}}", "stage near: threshold must be above 0 and at most 1, not 2"),  # noqa: E501
        ("sources: {a: {path: a.txt, synthetic: true, weight: 1}}\nmix: {max_synthetic: 0.2}", "max_synthetic allows 0.2"),  # noqa: E501
        ("sources: [", "cannot be read as YAML"),
        ("sources: {a: a.txt}\nstages: [semantic]", "stage semantic needs 'model'"),
        ("sources: {a: a.txt}\nstages: {semantic: {model: m, treshold: 1}}", "has no setting 'treshold'; did you mean 'threshold'?"),  # noqa: E501
        ("sources: {a: a.txt}\nstages: {semantic: {model: m, threshold: 1.5}}", "stage semantic: threshold must be above 0 and at most 1, not 1.5"),  # noqa: E501
        ("sources: {a: a.txt}\nstages: {semantic: {model: m, fingerprint: x}}", "has no setting 'fingerprint'"),
        ("sources: {a: a.txt}\nstages: {perplexity: {model: m}}", "perplexity has no limit; write 'max_bits_per_byte: 2.5'"),  # noqa: E501
        ("sources: {a: a.txt}\nstages: {perplexity: {model: m, max_bits_per_byte: 1, min_bits_per_byte: 2}}", "which are none"),  # noqa: E501
        ("sources: {a: {path: a.txt, annealing_weight: 1}, b: a.txt}", "have annealing weights and b none"),
        ("sources: {a: {path: a.txt, annealing_weight: 0.3}, b: {path: a.txt, annealing_weight: 0.3}}", "annealing weights of the sources sum to 0.6, not to 1; scaled they would be a 0.5, b 0.5"),  # noqa: E501
        ("sources: {a: {path: a.txt, annealing_weight: 2}}", "_weight must be at least 0 and at most 1, not 2"),
        ("sources: {a: a.txt}\nmix: {annealing_share: 1}", "annealing_share must be above 0 and below 1"),
        ("sources: {a: a.txt}\nmix: {least_variety: 2}", "least_variety must be above 0 and at most 1, not 2"),
        ("sources: {a: {path: a.txt, synthetic: true}}\nmix: {least_variety: 0.5}", "and there is none; mark what people wrote"),  # noqa: E501
        ("sources: {a: a.txt}\npack: {tokeniser: b}", "pack has no setting 'tokeniser'; did you mean 'tokenizer'?"),
        ("sources: {a: a.txt}\npack: {tokenizer: 3}", "pack: tokenizer must be a folder or settings"),
        ("sources: {a: a.txt}\npack: {held_out_share: 1}", "held_out_share must be above 0 and below 1"),
        ("sources: {a: a.txt}\npack: yes", "pack takes lines of its own, such as 'key: value', not True"),
    ],
)  # fmt: skip
def test_a_single_mistake_is_one_sentence(tmp_path, text, part):
    assert part in mistakes(tmp_path, text)


SOURCES = (Source(name="a", weight=0.75), Source(name="b", weight=0.25, repeats=2), Source(name="c"))


def test_the_scarcest_source_decides_how_much_there_is():
    found = shares({"a": 300, "b": 20}, SOURCES[:2], Mix())
    assert found.bytes == {"a": 120, "b": 40}
    found = shares({"a": 300, "b": 20}, SOURCES[:2], Mix(total_mb=100e-6))
    assert found.bytes == pytest.approx({"a": 75, "b": 25})
    found = shares({"a": 300, "b": 20}, SOURCES[:2], Mix(total_mb=1))
    assert found.bytes == {"a": 120, "b": 40}
    assert "1.0 MB were wanted, but source b allows 0.0 MB only" in found.notes[0]


def test_without_weights_everything_is_taken_and_models_text_is_capped():
    sources = (Source(name="a"), Source(name="b", synthetic=True))
    assert shares({"a": 60, "b": 100}, sources, Mix()).bytes == {"a": 60, "b": 100}
    assert shares({"a": 60, "b": 100}, sources, Mix(max_synthetic=0.25)).bytes == pytest.approx({"a": 60, "b": 20})
    assert shares({"a": 60, "b": 40}, sources, Mix(total_mb=50e-6)).bytes == pytest.approx({"a": 30, "b": 20})


def test_a_source_of_which_a_part_is_allowed_leaves_the_rest_to_the_others():
    found = shares({"a": 300, "b": 20}, SOURCES[:2], Mix(), {"b": 0.5})
    assert found.bytes == pytest.approx({"a": 40 * 6, "b": 40})
    assert shares({"a": 300, "b": 20}, SOURCES[:2], Mix(), {"b": 0.0}).bytes == {"a": 300, "b": 0}
    sources = (Source(name="a"), Source(name="b", synthetic=True))
    assert shares({"a": 60, "b": 100}, sources, Mix(), {"b": 0.5}).bytes == {"a": 60, "b": 50}
    assert shares({"a": 60, "b": 0}, (sources[1],), Mix(), {"b": 0.0}).bytes == {"b": 0}


def test_models_beside_the_file_are_found_there_and_other_names_are_left(tmp_path):
    (tmp_path / "own").mkdir()
    stages = "sources: {a: a.txt}\nstages: {semantic: {model: MODEL}}"
    for given, wanted in (
        ("own", tmp_path / "own"),
        ("own@random", f"{tmp_path / 'own'}@random"),
        ("org/name", "org/name"),
    ):
        (stage,) = load_corpus(written(tmp_path, stages.replace("MODEL", given))).stages
        assert stage.model == str(wanted)


def test_copies_come_to_what_is_wanted_within_half_a_document():
    import numpy as np

    sizes = np.random.default_rng(0).integers(1, 100, 500)
    for wanted in (0, 1000, sizes.sum() // 2, sizes.sum(), 2.5 * sizes.sum()):
        taken = copies(sizes, wanted, (0, 1))
        assert abs((taken * sizes).sum() - wanted) <= 50
        assert taken.max() - taken.min() <= 1
    assert copies(np.zeros(3, int), 10, (0,)).tolist() == [0, 0, 0]
