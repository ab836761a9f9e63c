"""The route prompt on a served model: the numbers of the loaded one where the server tells them, and honest counts."""

import json
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import transformers

import commands
import served_models as served
import tokenworth as tw
from planted import planted_task
from served_models import Server, by_word, refusing, reviews, said, write_reviews
from small_models import write_folder
from tokenworth.adaptation import AdaptResult, adapt, load_classifier
from tokenworth.adaptation.routes.answer_forms import CERTAIN, Letters, Scores, forms_for
from tokenworth.adaptation.routes.answer_parsing import class_in_json, class_said
from tokenworth.adaptation.routes.prompt_calibration import label_share_bias, log_probabilities
from tokenworth.adaptation.routes.similar_texts import SimilarTexts, load_similar
from tokenworth.endpoints import Reply
from tokenworth.errors import AdaptError, EndpointError, SettingError
from tokenworth.probes.probability_metrics import measure, metric_value, predicted_classes, softmax
from tokenworth.study import load_study

sys.path.append(str(Path(__file__).parents[1] / "bench"))
from log_probability_server import CausalAnswers

CHAT = (
    "{% for m in messages %}{{ {'system': 'w50', 'user': 'w51', 'assistant': 'w52'}[m['role']] }} {{ m['content'] }} "
    "{{ eos_token }} {% endfor %}{% if add_generation_prompt %}w52 {% endif %}"
)
WORDS = {"class 0": "w40", "class 1": "w41 w42 w43"}
PLANTED = {"template": "{text} w30", "label_words": WORDS, "mislabelled": False, "dtype": "float32", "chat": False}


@pytest.fixture
def task(tmp_path):
    return write_reviews(tmp_path / "task")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A llama with a chat template, and room for examples."""
    place = tmp_path_factory.mktemp("served") / "llama"
    folder = write_folder(place, "llama", lm_head=True, max_position_embeddings=300)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(folder)
    return folder


def run(server, task, tmp_path, out=None, **settings):
    config = {"url": server.url, "mislabelled": False, "retries": 1, "timeout": 10.0, **settings}
    return adapt("endpoint:m", str(task), "prompt", config=config, out=out, cache=str(tmp_path / "cache"))


# The same numbers as loaded


@pytest.mark.parametrize("how", ["mean", "sum"])
@pytest.mark.parametrize("shots", [0, 3])
def test_likelihoods_are_those_of_the_loaded_model(folder, tmp_path, shots, how):
    """The very examples, too: they are drawn by the same seed."""
    task, settings = planted_task(40, 12), {**PLANTED, "shots": shots, "label_likelihood": how}
    loaded = adapt(str(folder), task, "prompt", config=settings, out=tmp_path / "loaded")
    with Server(CausalAnswers(folder)) as server:
        config = {**settings, "url": server.url}
        asked = adapt("endpoint:m", task, "prompt", config=config, out=tmp_path / "asked", cache=str(tmp_path / "c"))
        scores_NC = load_classifier(tmp_path / "asked").predictor.scores(task.test.texts)
    assert asked.facts["endpoint"]["form"] == "scores"
    expected_NC = load_classifier(tmp_path / "loaded").predictor.scores(task.test.texts)
    np.testing.assert_allclose(scores_NC, expected_NC, atol=2e-5)  # rounding of float32
    for name in ("weighted_f1", "accuracy", "log_loss"):
        assert asked.metrics[name] == pytest.approx(loaded.metrics[name], abs=1e-4)


def test_label_shares_shift_as_they_do_here(folder, tmp_path):
    task, settings = planted_task(40, 12), {**PLANTED, "label_shares": True}
    loaded = adapt(str(folder), task, "prompt", config=settings)
    with Server(CausalAnswers(folder)) as server:
        config = {**settings, "url": server.url}
        asked = adapt("endpoint:m", task, "prompt", config=config, cache=str(tmp_path / "cache"))
    assert asked.metrics["log_loss"] == pytest.approx(loaded.metrics["log_loss"], abs=1e-4)


def test_letters_are_the_models_own_log_probabilities(folder):
    """Of the next token of the whole chat, through the class of the library."""
    answers = CausalAnswers(folder)
    form = Letters(("w40", "w41"), True)
    chat = [{"role": "user", "content": "w1 w2 w30"}]
    (question,) = form.questions("m", chat)
    content = answers(question.path, question.body)
    listed = content["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    ids = answers.tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    with torch.inference_mode():
        log_p_V = answers.model(torch.tensor([ids])).logits[0, -1].log_softmax(0)
    for entry in listed[:5]:
        (token,) = answers.tokenizer(entry["token"], add_special_tokens=False)["input_ids"][:1]
        assert entry["logprob"] == pytest.approx(float(log_p_V[token]), abs=1e-5)


# Ways of answering


def lettered(path, body):
    """A model with log-probabilities, sure of what it says with .8."""
    if "top_logprobs" not in body:
        return by_word(path, body)
    good = "good" in served.asked_text(body)
    pairs = body["messages"][0]["content"].partition("letter: ")[2]
    letter = {words.strip(" ."): name for name, _, words in (pair.partition(" for ") for pair in pairs.split(", "))}
    first, second = (letter["good"], letter["bad"]) if good else (letter["bad"], letter["good"])
    return said(first, path, top={first: np.log(0.6), f" {first}": np.log(0.2), second: np.log(0.2)})


def bound(path, body):
    """A model whose answers can be bound."""
    if "response_format" not in body:
        return said("I would rather not say.", path)
    good = "good" in served.asked_text(body)
    return said(json.dumps({"class": "good" if good else "bad"}), path)


def test_letters_where_there_are_log_probabilities(task, tmp_path):
    with Server(lettered) as server:
        result = run(server, task, tmp_path)
    assert result.facts["endpoint"]["form"] == "letters"
    assert result.metrics["accuracy"] == 0.95
    np.testing.assert_allclose(result.predictions["confidence"], 0.8, rtol=1e-9)  # tokens of a letter add up
    body = server.questions[-1][1]
    assert body["messages"][0]["content"].endswith("Answer with one letter: A for bad, B for good.")
    assert "Answer with one of" not in body["messages"][0]["content"]


@pytest.mark.parametrize(
    ("answer", "form", "certain"),
    [(bound, "schema", CERTAIN), (by_word, "text", CERTAIN), (refusing(by_word, "logprobs"), "text", CERTAIN),
     (refusing(by_word, "logprobs", "response_format"), "text", CERTAIN),
     (refusing(bound, "logprobs"), "schema", CERTAIN)],
    ids=["schema", "text", "no log-probabilities", "neither", "refused and bound"],
)  # fmt: skip
def test_what_a_server_does_not_know_is_gone_without(task, tmp_path, answer, form, certain):
    with Server(answer) as server:
        result = run(server, task, tmp_path)
    assert result.facts["endpoint"]["form"] == form
    assert result.metrics["accuracy"] == 0.95
    np.testing.assert_allclose(result.predictions["confidence"], certain)
    assert "so that there are no probabilities" in " ".join(result.sentences)


def test_a_server_that_fails_where_it_is_asked_for_what_it_has_not(task, tmp_path, monkeypatch):
    """As one that answers 500 instead of 400."""

    def answer(path, body):
        return (500, {}) if "logprobs" in body or "response_format" in body else by_word(path, body)

    with Server(answer) as server:
        assert run(server, task, tmp_path).facts["endpoint"]["form"] == "text"


def test_what_is_asked_for_is_not_exchanged(task, tmp_path):
    with Server(by_word) as server:
        with pytest.raises(EndpointError, match="answers, but not by letters, as was asked for"):
            run(server, task, tmp_path, answers="letters")
        with pytest.raises(SettingError, match="answers: scores does not go with a chat; give --no-chat"):
            run(server, task, tmp_path, answers="scores")


def test_many_classes_have_no_letters():
    words = tuple(f"word{i}" for i in range(30))
    assert [form.name for form in forms_for("auto", words, chat=True, summed=False)] == ["schema", "text"]
    with pytest.raises(SettingError, match="has a letter for 26 classes, and the task has 30"):
        forms_for("letters", words, chat=True, summed=False)


def test_a_letter_that_is_not_listed_has_at_most_the_least():
    reply = Reply("A", {"A": -0.5, "x": -1.0, "y": -3.0}, None, None, 1, 1, 0.0)
    assert Letters(("a", "b", "c"), True).read([reply]).tolist() == [-0.5, -3.0, -3.0]
    assert Letters(("a", "b"), True).read([Reply("x", {"x": -0.1}, None, None, 1, 1, 0.0)]) is None


@pytest.mark.parametrize("behind", [["."], [], [" and", " so"]], ids=["one", "none", "two"])
def test_the_words_are_found_before_what_the_server_adds(behind):
    tokens, values = ["Text", ":", " very", " good", *behind], [-9.0, -9.0, -1.0, -2.0, *[-7.0] * len(behind)]
    reply = Reply("", None, tokens, values, 4, len(behind), 0.0)
    form = Scores(("very good",), False)
    assert form.read([reply]).tolist() == [-1.5]
    assert Scores(("very good",), False, True).read([reply]).tolist() == [-3.0]
    assert Scores(("bad",), False).read([reply]) is None


@pytest.mark.parametrize(
    ("answer", "place"),
    [("spam", 0), (" Spam.\n", 0), ('"not spam"', 1), ("not spam, I think", 1), ("It is spam", 0), ("", None),
     ("It is not spam", 1), ("I do not know", None), ("spam or add to playlist", 0), ("spammer", None),
     ("either add to playlist or spam", None), ("ADD TO  PLAYLIST", 2), ("Category: add to playlist!", 2)],
)  # fmt: skip
def test_answers_in_words(answer, place):
    assert class_said(answer, ("spam", "not spam", "add to playlist")) == place


@pytest.mark.parametrize(
    ("answer", "place"),
    [('{"class": "b"}', 1), ('{"class": "c"}', None), ('{"class": ["b"]}', None), ("[]", None), ('{"cl', None)],
)
def test_answers_bound_to_a_schema(answer, place):
    assert class_in_json(answer, ("a", "b")) == place


# Answers that name no class


def test_what_names_no_class_counts_as_wrong_and_is_counted(task, tmp_path):
    def answer(path, body):
        text = served.asked_text(body)
        if "film" in text:
            return said("Well, that depends.", path)
        return (400, {"error": {"message": "filtered"}}) if "song" in text else by_word(path, body)

    with Server(answer) as server:
        result = run(server, task, tmp_path, out=tmp_path / "out", answers="text")
        classifier = load_classifier(tmp_path / "out")
        assert classifier.predict(["a film", "a good day"]) == ["", "good"]
        np.testing.assert_allclose(classifier.predict_proba(["a film"]), 0.5)
    _, rows = reviews()
    clear = [row for row in rows if "film" not in row["text"] and "song" not in row["text"]]
    right = sum(row["label"] in row["text"] for row in clear)
    assert result.metrics["accuracy"] == right / len(rows)
    asked = result.facts["endpoint"]
    assert asked["unparsable"] == sum("film" in row["text"] for row in rows)
    assert asked["refused"] == sum("song" in row["text"] for row in rows)
    assert "Well, that depends." in asked["said"]
    assert "refused (400): filtered" in asked["said"]
    table = result.predictions
    assert (table["predicted"] == "").sum() == asked["unparsable"] + asked["refused"]
    assert not table["correct"][table["predicted"] == ""].any()
    assert any(row["predicted"] == "" for row in result.confusion["mistakes"])
    assert "they count as wrong" in " ".join(result.sentences)
    read = AdaptResult.load(tmp_path / "out")
    assert read.predictions.equals(table)
    tw.write_report(read, tmp_path / "page.html")
    assert "no class named" in (tmp_path / "page.html").read_text()


def test_metrics_of_texts_without_a_class_are_those_of_a_class_that_is_never_right():
    """The slow truth: a further class that no text has, left out of the means over classes."""
    rng = np.random.default_rng(0)
    true_N = rng.integers(0, 3, 200)
    probability_NC = softmax(rng.normal(size=(200, 3)))
    probability_NC[::7] = np.nan
    predicted_N = predicted_classes(probability_NC)
    found = measure(true_N, probability_NC)
    f1_C = []
    for label in range(3):
        hits = ((true_N == label) & (predicted_N == label)).sum()
        f1_C.append(2 * hits / ((true_N == label).sum() + (predicted_N == label).sum()))
    assert found["accuracy"] == pytest.approx((true_N == predicted_N).mean())
    assert found["macro_f1"] == pytest.approx(np.mean(f1_C))
    assert found["weighted_f1"] == pytest.approx(np.bincount(true_N) @ f1_C / 200)
    even_NC = np.where(np.isnan(probability_NC), 1 / 3, probability_NC)
    assert found["log_loss"] == pytest.approx(-np.log(even_NC[np.arange(200), true_N]).mean())
    assert metric_value("macro_f1", true_N, probability_NC) == pytest.approx(np.mean(f1_C))
    assert found["accuracy_low"] < found["accuracy"] < found["accuracy_high"]


# Examples


def test_examples_by_words_are_those_of_brute_force():
    train = planted_task(40, 12).train
    texts = [*train.texts[:30], train.texts[3], "", *train.texts[30:]]
    similar = SimilarTexts(texts, np.arange(len(texts)) % 2, 4)
    ngrams, rows_NF = similar._fitted
    dense_NF = rows_NF.toarray()
    asked = [texts[3], texts[10], "something else altogether"]
    for text, rows in zip(asked, similar.rows(asked), strict=True):
        alike = dense_NF @ ngrams.transform([text]).toarray()[0]
        others = [row for row in np.argsort(-alike, kind="stable") if texts[row] != text]
        assert rows.tolist() == others[:4][::-1]
    again = load_similar(json.loads(json.dumps(similar.save())))
    assert all(np.array_equal(*pair) for pair in zip(again.rows(asked), similar.rows(asked), strict=True))


def test_nearest_examples_stand_before_the_text(task, tmp_path):
    with Server(by_word) as server:
        result = run(server, task, tmp_path, shots=3, examples="nearest")
    body = server.questions[-1][1]
    shown = [turn["content"] for turn in body["messages"] if turn["role"] == "user"]
    assert len(shown) == 4
    assert result.facts["nearest"] == {"by": "words"}
    similar = SimilarTexts([row["text"] for row in reviews()[0]], np.zeros(24, dtype=np.int64), 3)
    (rows,) = similar.rows([served.asked_text(body)])
    assert [text.partition("\n")[0] for text in shown[:3]] == [f"Text: {similar.texts[row]}" for row in rows]


def test_a_saved_classifier_asks_the_same(task, tmp_path):
    """Without the form being looked for again."""
    with Server(lettered) as server:
        run(server, task, tmp_path, out=tmp_path / "out", shots=4, label_shares=True)
        first = len(server.questions)
        table = AdaptResult.load(tmp_path / "out").predictions
        classifier = load_classifier(tmp_path / "out")
        found_NC = classifier.predict_proba(list(table["text"]))
    np.testing.assert_allclose(found_NC, table[["p_bad", "p_good"]].to_numpy())
    assert all("top_logprobs" in body for _, body in server.questions[first:])
    told = (tmp_path / "out" / "model" / "classifier.json").read_text()
    assert "key_variable" not in told
    with pytest.raises(AdaptError, match="another model would answer otherwise"):
        load_classifier(tmp_path / "out", model="endpoint:other")


def test_a_calibration_needs_probabilities(task, tmp_path):
    with Server(by_word) as server, pytest.raises(SettingError, match="the server gives none"):
        run(server, task, tmp_path, label_shares=True)


def test_the_shift_of_the_classes_is_that_of_the_formula(task, tmp_path):
    """Texts whose answers name no class say nothing of it."""

    def some(path, body):
        return lettered(path, body) if "film" not in served.asked_text(body) else said("x", path, top={"x": -0.1})

    with Server(some) as server:
        run(server, task, tmp_path, out=tmp_path / "out", label_shares=True)
    prior = json.loads((tmp_path / "out" / "model" / "classifier.json").read_text())["predictor"]["prior"]
    rows = [row for row in reviews()[0] if "film" not in row["text"]]
    scores = [np.log([0.2, 0.8] if "good" in row["text"] else [0.8, 0.2]) for row in rows]
    assert prior == pytest.approx(label_share_bias(np.array(scores), np.array([0.5, 0.5])))
    assert np.isfinite(log_probabilities(np.array(scores))).all()


# Runs that go on, and what they cost


def test_a_finished_run_is_read_and_another_run_asks_nothing_again(task, tmp_path):
    with Server(by_word) as server:
        first = run(server, task, tmp_path, out=tmp_path / "out", price_in=1.0)
        asked = len(server.questions)
        assert run(server, task, tmp_path, out=tmp_path / "out", price_in=1.0).metrics == first.metrics
        other = run(server, task, tmp_path, out=tmp_path / "other", price_in=1.0)
    assert len(server.questions) == asked
    assert other.cost["questions_found"] == other.cost["questions"] == first.cost["questions"]
    assert other.cost["money"] == other.cost["money_predicted"] == first.cost["money"]
    assert first.cost["million_money"] == pytest.approx(1e6 * first.cost["money"] / 20)


def test_answers_lie_in_the_run_where_nothing_is_cached(task, tmp_path):
    config = {"mislabelled": False, "answers": "text"}
    with Server(by_word) as server:
        config["url"] = server.url
        adapt("endpoint:m", str(task), "prompt", config=config, out=tmp_path / "out", cache=False)
    assert len(list((tmp_path / "out").glob("answers-*.jsonl"))) == 1
    assert set(server.answered.values()) == {1}


def test_the_budget_is_looked_at_before_anything_but_the_first_text_is_asked(task, tmp_path):
    with Server(by_word) as server:
        with pytest.raises(EndpointError, match=r"19 questions would cost about .* and the budget is 0\.0002"):
            run(server, task, tmp_path, answers="text", price_in=1.0, budget=0.0002)
        assert len(server.questions) == 1
        paid = run(server, task, tmp_path, answers="text", price_in=1.0, budget=0.002)
    assert paid.cost["money"] <= paid.cost["money_predicted"] <= 0.002
    assert set(server.answered.values()) == {1}


MISTAKES = {
    "another route": ({"route": "lora"}, SettingError, "the route lora needs a model's weights"),
    "no address": ({"url": None}, SettingError, "needs the server's address"),
    "a budget without a price": ({"budget": 1.0}, SettingError, "budget is money, so it needs price-in"),
    "a price of writing alone": ({"price_out": 1.0}, SettingError, "price-out needs price-in"),
    "tokens": ({"max_length": 10}, SettingError, "max-length counts tokens"),
    "an address for a model that is loaded": ({"model": "llama"}, SettingError, "url is for a model on a server"),
}


@pytest.mark.parametrize("wrong", MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_one_sentence(wrong, task, tmp_path):
    settings, kind, sentence = wrong
    with Server(by_word) as server:
        given = {"url": server.url, **settings}
        model, route = given.pop("model", "endpoint:m"), given.pop("route", "prompt")
        with pytest.raises(kind, match=sentence):
            adapt(model, str(task), route, config=given, cache=str(tmp_path / "cache"))


def test_a_model_that_the_server_has_not_is_named_with_those_it_has(task, tmp_path):
    def answer(path, body):
        return (404, {"error": {"message": f"The model `{body['model']}` does not exist."}})

    with Server(answer, models=["big", "small"]) as server, pytest.raises(EndpointError) as error:
        run(server, task, tmp_path)
    assert "takes no question to 'm' (404: The model `m` does not exist.); it serves big, small" in str(error.value)
    assert "--model endpoint:NAME" in str(error.value)


def test_an_address_that_is_no_such_server(task, tmp_path):
    with Server(lambda *_: served.GARBAGE) as server, pytest.raises(EndpointError, match="is no JSON, or half of one"):
        run(server, task, tmp_path, retries=0)


# The command line


@pytest.fixture
def cached(tmp_path, monkeypatch):
    monkeypatch.setenv("TOKENWORTH_CACHE", str(tmp_path / "cache"))


def begun(*arguments):
    """A command in a process that may be killed."""
    program = [sys.executable, "-m", "tokenworth", *map(str, arguments)]
    return subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_command_and_its_key_that_is_nowhere(task, tmp_path, cached, monkeypatch):
    key = "sk-nowhere-to-be-found"
    line = ["--route", "prompt", "--model", "endpoint:m", "--price-in", 1, "--out", tmp_path / "out", "--verbose"]
    with Server(served.slowly(by_word, 0.05), key=key) as server:
        line += ["--url", server.url]
        monkeypatch.setenv("TOKENWORTH_API_KEY", key)
        process, lines = begun("adapt", task, *line), set()
        while process.poll() is None:
            lines |= {path.read_bytes() for path in Path(f"/proc/{process.pid}").glob("cmdline")}
            time.sleep(0.05)
        out, err = process.communicate()
        assert process.returncode == 0, err
        told = commands.tokenworth("predict", tmp_path / "out", task / "test.jsonl", "--to", "p.csv", cwd=tmp_path)
        assert told.code == 0, told.err
    assert "predicted to cost" in err
    assert len(pd.read_csv(tmp_path / "p.csv")) == 20
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 6
    assert not [path for path in files if key.encode() in path.read_bytes()]
    assert not [text for text in (out, err, told.err) if key in text]
    assert lines
    assert not [line for line in lines if key.encode() in line]


def test_a_killed_run_goes_on_and_no_text_is_paid_for_twice(task, tmp_path, cached):
    numbers, hangs = count(), True

    def answer(path, body):
        return served.HANG if hangs and next(numbers) >= 9 else by_word(path, body)

    line = ["adapt", task, "--route", "prompt", "--model", "endpoint:m", "--answers", "text", "--concurrency", 4]
    with Server(answer) as server:
        line += ["--url", server.url, "--out", tmp_path / "out"]
        process = begun(*line)
        while len(server.questions) < 13:
            time.sleep(0.02)
            assert process.poll() is None
        time.sleep(0.3)
        process.kill()
        process.communicate()
        hangs = False
        done = commands.tokenworth(*line, cwd=tmp_path)
    assert done.code == 0, done.err
    assert len(server.answered) == 20
    assert set(server.answered.values()) == {1}
    assert AdaptResult.load(tmp_path / "out").cost["questions_found"] == 9


def test_ctrl_c_ends_a_run_that_waits(task, tmp_path, cached):
    with Server(lambda *_: served.HANG) as server:
        process = begun("adapt", task, "--route", "prompt", "--model", "endpoint:m", "--url", server.url)
        while not server.questions:
            time.sleep(0.02)
            assert process.poll() is None
        process.send_signal(2)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "the same command goes on" in err


# decide and study


@pytest.fixture
def many(tmp_path):
    return write_reviews(tmp_path / "many", n_train=60)


def test_decide_measures_an_endpoint_on_training_texts(many, folder, tmp_path):
    with Server(lettered) as server:
        config = {"url": server.url, "price_in": 1.0, "shots": 2}
        settings = {
            "dtype": "float32",
            "config": config,
            "cache": str(tmp_path / "cache"),
            "endpoint_texts": 20,
            "budget": "$1",
        }
        decision = tw.decide(str(many), [str(folder), "endpoint:m"], out=tmp_path / "out", **settings)
    rows = {(row["model"], row["route"]): row for row in decision.options}
    row = rows["endpoint:m", "prompt"]
    assert row["source"] == "measured"
    assert row["f1"] == 1.0
    assert row["f1_low"] < 0.99, "twenty right answers are no certainty"
    asked = [served.asked_text(body) for _, body in server.questions]
    assert all(text.startswith("train") for text in asked)
    assert len(set(asked)) == 20
    assert row["million_money"] == pytest.approx(40.0 + 2.0)
    assert row["money"] == pytest.approx(row["million_money"] * 20 / 1e6)
    assert row["million_seconds"] > 0
    assert (tw.write_report(decision, tmp_path / "page.html")).is_file()
    assert "Their price" in (tmp_path / "page.html").read_text()


def test_decide_goes_on_without_an_endpoint_that_does_not_answer(many, folder, tmp_path):
    with Server(by_word) as server:
        url = server.url
    settings = {"config": {"url": url}, "cache": str(tmp_path / "cache"), "dtype": "float32"}
    decision = tw.decide(str(many), [str(folder), "endpoint:m"], **settings)
    assert any("endpoint:m: no server answers" in warning for warning in decision.warnings)
    assert "endpoint:m" not in {row["model"] for row in decision.options}


def test_a_budget_in_money_ends_the_sample(many, folder, tmp_path):
    with Server(by_word) as server:
        config = {"url": server.url, "price_in": 1.0, "answers": "text"}
        settings = {"dtype": "float32", "config": config, "cache": str(tmp_path / "cache")}
        decision = tw.decide(str(many), [str(folder), "endpoint:m"], budget="$0.0001", **settings)
    assert any("and the budget is 0.0001" in warning for warning in decision.warnings)
    assert len(server.questions) == 1


STUDY = """
name: served
routes: [bow, prompt]
tasks: [{task}]
backbones: ['endpoint:m', {folder}]
settings: {{url: '{url}', shots: 2, mislabelled: false, protocol: false}}
"""


def test_a_study_has_cells_of_endpoints(task, folder, tmp_path, cached):
    with Server(by_word) as server:
        file = tmp_path / "served.yaml"
        file.write_text(STUDY.format(task=task, folder=folder, url=server.url))
        cells = load_study(file).cells()
        assert [(cell.backbone, cell.route) for cell in cells] == [
            (None, "bow"), ("endpoint:m", "prompt"), (str(folder), "prompt"),
        ]  # fmt: skip
        assert ["url" in cell.settings for cell in cells] == [False, True, False]
        line = ("study", "run", file, "--out", "study", "--workers", 1, "--only", "endpoint:m", "--only", "prompt")
        done = commands.tokenworth(*line, cwd=tmp_path)
        assert done.code == 0, done.err
        asked = len(server.questions)
        assert commands.tokenworth(*line, cwd=tmp_path).code == 0
        assert len(server.questions) == asked
    table = commands.tokenworth("study", "export", file, "cells.csv", "--out", "study", cwd=tmp_path)
    assert table.code == 0, table.err
    rows = pd.read_csv(tmp_path / "cells.csv").set_index(["backbone", "route"])
    assert rows.loc[("endpoint:m", "prompt"), "accuracy"] == 0.95
