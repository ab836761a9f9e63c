"""The bag of words: a fair yardstick in every script, equal to its definition, no weaker than the plain recipe."""

import json
import sys
import unicodedata

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score

from tokenworth.probes import bag_of_words, fit_bag_of_words
from tokenworth.probes.bag_of_words import (
    RECIPES,
    SEARCH_TEXTS,
    choose_recipe,
    log_shares,
    naive_bayes_ratio,
)
from tokenworth.probes.ngrams import CHARACTERS, WORDS, fit_ngrams
from tokenworth.probes.probability_metrics import softmax

MODULE = sys.modules["tokenworth.probes.bag_of_words"]  # the front door has a function of that name


def texts_of(words_C, n, rng, rest):
    """n texts: five words any class uses, and one of the class's own; texts in turn of class 0, 1, ..."""
    labels = np.arange(n) % len(words_C)
    texts = [[*rng.choice(rest, 5), rng.choice(words_C[label])] for label in labels]
    return [list(rng.permutation(words)) for words in texts], labels


def halves(texts, labels):
    n = len(texts) // 2
    return texts[:n], labels[:n], texts[n:], labels[n:]


CHINESE = [["很好", "喜欢", "精彩"], ["糟糕", "讨厌", "失望"]]
HINDI = [["अच्छी", "सुंदर", "मज़ेदार"], ["बुरी", "खराब", "बेकार"]]
THAI = [["ดีมาก", "ชอบ", "สนุก"], ["แย่มาก", "เกลียด", "น่าเบื่อ"]]


@pytest.mark.parametrize(
    ("words", "rest", "blank"),
    [
        (CHINESE, ["电影", "这个", "故事", "演员", "昨天", "我们"], ""),
        (HINDI, ["फ़िल्म", "यह", "कहानी", "कल", "हमने", "की"], " "),
        (THAI, ["ภาพยนตร์", "เรื่อง", "นักแสดง", "เมื่อวาน", "เรา", "นี้"], ""),
    ],
    ids=["Chinese", "Hindi", "Thai"],
)
def test_scripts_without_blanks_and_with_marks_are_read(words, rest, blank):
    """A word of the class's own stands in every text, so that every test text can be told."""
    texts, labels = texts_of(words, 160, np.random.default_rng(0), rest)
    train, train_labels, test, test_labels = halves([blank.join(words) for words in texts], labels)
    for recipe in (None, *RECIPES):
        model = fit_bag_of_words(train, train_labels, 2, recipe=recipe)
        assert accuracy_score(test_labels, model.scores(test).argmax(1)) == 1.0, recipe


def test_words_of_one_letter_and_signs_count():
    texts, labels = texts_of([["!", "a"], ["?", "b"]], 80, np.random.default_rng(1), ["one", "two", "three"])
    train, train_labels, test, test_labels = halves([" ".join(words) for words in texts], labels)
    model = fit_bag_of_words(train, train_labels, 2, recipe="words")
    assert (model.scores(test).argmax(1) == test_labels).all()


def test_forms_of_one_word_are_one_term():
    """Composed and decomposed letters, wide letters and capitals."""
    block, rows = fit_ngrams(WORDS, ["café", unicodedata.normalize("NFD", "CAFÉ"), "ｃａｆé"])
    assert block.terms == ["café"]
    assert rows.toarray() == pytest.approx(np.ones((3, 1)))


@pytest.mark.parametrize("text", ["हिन्दी में", "می‌خواهم", "naïve", "don't"])
def test_a_word_with_marks_and_joiners_is_not_cut(text):
    """Every part between blanks is one word (an apostrophe is a sign between two)."""
    block, _ = fit_ngrams(WORDS, [text])
    alone = {term for term in block.terms if " " not in term}
    assert alone == set(text.replace("'", " ' ").split())


# --- equal to its definition


@pytest.mark.parametrize("n_classes", [2, 3])
def test_scores_are_those_of_the_definition(n_classes):
    """Ratios by counting, one logistic regression a class on scaled terms, probabilities divided by their sum."""
    words = [["good"], ["bad"], ["odd"]][:n_classes]
    texts, labels = texts_of(words, 60, np.random.default_rng(2), ["one", "two", "three", "four", "five"])
    train, train_labels, test, _ = halves([" ".join(words) for words in texts], labels)
    model = fit_bag_of_words(train, train_labels, n_classes, recipe="words")
    block, rows = fit_ngrams(WORDS, train)
    x, z = rows.toarray(), block.transform(test).toarray()
    odds = []
    for label in range(n_classes):
        ratio = np.array([slow_ratio(x, train_labels == label, term) for term in range(x.shape[1])])
        ratio -= np.log(slow_total(x, train_labels == label) / slow_total(x, train_labels != label))
        fitted = LogisticRegression(C=10, max_iter=1000).fit(x * ratio, train_labels == label)
        odds.append(fitted.decision_function(z * ratio))
    share = 1 / (1 + np.exp(-np.array(odds).T))
    expected = share / share.sum(1, keepdims=True)
    assert softmax(model.scores(test)) == pytest.approx(expected, abs=1e-3)  # lbfgs stops at a gradient of 1e-4


def slow_ratio(x, inside, term):
    one, other = (1 + sum(row[term] > 0 for row in x[part]) for part in (inside, ~inside))
    return np.log(one / other)


def slow_total(x, inside):
    return sum(1 + sum(row[term] > 0 for row in x[inside]) for term in range(x.shape[1]))


def test_the_ratio_is_that_of_shares_of_texts():
    rows = csr_matrix(np.array([[0.5, 0.0], [0.2, 0.1], [0.0, 0.9]]))
    found = naive_bayes_ratio(rows, np.array([True, True, False]))
    assert found == pytest.approx(np.log([3 / 5, 2 / 5]) - np.log([1 / 3, 2 / 3]))


def test_two_classes_have_the_probability_of_their_log_odds():
    odds = np.array([[-3.0, 3.0], [0.5, -0.5]])
    assert softmax(log_shares(odds))[:, 1] == pytest.approx(1 / (1 + np.exp(-odds[:, 1])))


def test_balanced_weights_are_those_of_repeated_texts():
    """One text of class 1 among four of class 0 counts as four would."""
    texts, labels = ["red", "red apple", "red", "blue", "blue pear"], np.array([0, 0, 0, 0, 1])
    weighted = fit_bag_of_words(texts, labels, 2, recipe="words", class_weight="balanced")
    plain = fit_bag_of_words(texts, labels, 2, recipe="words")
    assert softmax(weighted.scores(["blue"]))[0, 1] > softmax(plain.scores(["blue"]))[0, 1] + 0.1


# --- the choice


def test_the_recipe_that_tells_held_out_texts_is_chosen():
    """Endings tell the class where no word is seen twice; word order of whole words tells it where letters do not."""
    rng = np.random.default_rng(3)
    stems = ["".join(rng.choice(list("bcdfglmnprst"), 5)) for _ in range(300)]
    labels = np.arange(300) % 2
    endings = [f"{stem}{'ing' if label else 'ova'}" for stem, label in zip(stems, labels, strict=True)]
    assert CHARACTERS in RECIPES[choose_recipe(endings, labels)].kinds
    assert choose_recipe(["yes sir", "no sir"] * 30, np.arange(60) % 2) == "words"  # equals: the first


def test_the_choice_reads_no_test_text_and_a_bounded_part_of_the_training_texts(monkeypatch):
    seen = []
    fit = fit_ngrams
    counted = lambda kind, texts, *most: seen.append(len(texts)) or fit(kind, texts, *most)  # noqa: E731
    monkeypatch.setattr(MODULE, "fit_ngrams", counted)
    texts, labels = ["yes", "no"] * SEARCH_TEXTS, np.arange(2 * SEARCH_TEXTS) % 2
    bag_of_words(texts, labels, ["yes"])
    assert seen[:2] == [SEARCH_TEXTS, SEARCH_TEXTS]
    assert seen[2:] == [2 * SEARCH_TEXTS]


def test_groups_are_not_parted_when_the_recipe_is_chosen(monkeypatch):
    parted = []
    monkeypatch.setattr(MODULE, "_hits", lambda _rows, _labels, folds, scaled: parted.append(folds) or 0)
    groups = np.repeat(np.arange(6), 4)
    choose_recipe(["yes", "no"] * 12, np.arange(24) % 2, groups_N=groups)
    for folds in parted:
        assert all(len(set(folds[groups == group])) == 1 for group in range(6))


# --- edges and real tasks


def test_texts_without_words_get_the_majority_class():
    for train in (["", "", ""], [" ", "\n", "\t"]):
        found = bag_of_words(train, np.array([1, 2, 2]), ["!!", "words here"])
        assert found.test_M.tolist() == [2, 2]
        assert found.n_features == 0


def test_one_class_alone_is_predicted():
    model = fit_bag_of_words(["red apple", "green pear"], np.array([1, 1]), 3)
    assert model.scores(["apple"]).argmax(1).tolist() == [1]


def test_words_that_stand_in_one_text_only_still_count():
    model = fit_bag_of_words(["red apple", "green pear"], np.array([0, 1]), 2, recipe="words")
    assert model.scores(["apple", "pear", "pear green"]).argmax(1).tolist() == [0, 1, 1]
    assert model.n_terms == 6


@pytest.mark.parametrize("name", ["climate_sentiment", "sms_spam"])
def test_bag_of_words_on_real_tasks(shared, name):
    """No worse than the accuracies that came with the data, of the plain recipe on words: less .01 for the choice."""
    folder = shared / "data" / "tasks" / name
    train, test = (pd.read_parquet(folder / f"{part}.parquet") for part in ("train", "test"))
    found = bag_of_words(train.text.tolist(), train.label.to_numpy(), test.text.tolist())
    plain = json.loads((folder / "meta.json").read_text())["tfidf_logreg_accuracy"]
    assert accuracy_score(test.label, found.test_M) > plain - 0.01
    assert 1000 < found.n_features <= 150_000
