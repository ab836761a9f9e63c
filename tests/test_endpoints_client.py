"""Questions to a server that fails in every way: asked again, given up in a sentence, and never paid for twice."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import count
from pathlib import Path

import pytest

import served_models as served
from served_models import Server, by_word, said
from tokenworth.endpoints import Endpoint, EndpointSettings, Question, Refusal, Reply, address_of, http_client
from tokenworth.endpoints.http_client import GivenUpError
from tokenworth.endpoints.ledger import Ledger, Prices
from tokenworth.endpoints.reply import MalformedError, read_reply
from tokenworth.errors import EndpointError, SettingError


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(http_client, "_FIRST_PAUSE", 0.01)


def question(text, **more):
    body = {"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": f"Text: {text}"}], **more}
    return Question("/chat/completions", body)


def endpoint(server, folder=None, **settings):
    given = {"timeout": 5.0, "retries": 2, **settings}
    return Endpoint(address_of("endpoint:m", server.url), EndpointSettings(**given), folder)


def first_then(faults, answer=by_word):
    """The faults, one a question, and then answers."""
    left = iter(faults)
    return lambda path, body: next(left, None) or answer(path, body)


FAULTS = {
    "429": (429, {"error": {"message": "slow down"}}),
    "500": (500, {"error": "oh"}),
    "503": (503, {}),
    "half an answer": served.HALF,
    "cut JSON": served.CUT_JSON,
    "no JSON": served.GARBAGE,
    "a list": [1, 2],
    "no choices": {"choices": []},
    "no words": {"choices": [{"index": 0}]},
    "nothing": {"choices": [{"message": {"content": 3}}]},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_asked_again(fault):
    with Server(first_then([fault])) as server:
        asked = endpoint(server)
        (reply,) = asked.ask([question("good")])
    assert reply.text == "good"
    assert len(server.questions) == 2
    assert asked.ledger.retries == 1


def test_a_server_gets_the_bound_on_tokens_under_the_name_it_wants(tmp_path):
    def newer(path, body):
        if "max_tokens" in body:
            return 400, {"error": {"message": "Unsupported parameter 'max_tokens': use 'max_completion_tokens'."}}
        return by_word(path, body)

    texts = ["good", "bad", "good one", "bad one"]
    with Server(newer) as server:
        asked = endpoint(server, tmp_path, concurrency=2)
        replies = asked.ask([question(text) for text in texts])
        assert [reply.text for reply in replies] == ["good", "bad", "good", "bad"]
        bounds = [body for _, body in server.questions if "max_completion_tokens" in body]
        assert [body["max_completion_tokens"] for body in bounds] == [10] * 4
        assert len(server.questions) <= 4 + 2  # those that were under way when the first was refused
        assert endpoint(server, tmp_path).unanswered([question(text) for text in texts]) == []


def test_a_refused_bound_is_renamed_once():
    refusal = (400, {"error": {"message": "neither max_tokens nor max_completion_tokens is known here"}})
    with Server(lambda *_: refusal) as server:
        (answer,) = endpoint(server).ask([question("good")])
        assert isinstance(answer, Refusal)
        assert len(server.questions) == 2


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_that_stays_is_one_sentence(fault):
    with Server(lambda *_: fault) as server, pytest.raises(GivenUpError) as error:
        endpoint(server, retries=1).ask([question("good")])
    assert "gave no answer that can be used in 2 tries (the last: " in str(error.value)
    assert "what was answered is kept" in str(error.value)
    assert len(server.questions) == 2


def test_a_server_that_hangs_is_given_up_in_time():
    with Server(lambda *_: served.HANG) as server, pytest.raises(GivenUpError, match=r"nothing for 0\.2 s"):
        endpoint(server, retries=1, timeout=0.2).ask([question("good")])


def test_a_server_that_hangs_once_is_asked_again():
    with Server(first_then([served.HANG])) as server:
        (reply,) = endpoint(server, timeout=0.3).ask([question("bad")])
    assert reply.text == "bad"


def test_pauses_grow_and_obey_the_server(monkeypatch):
    """429 of the test's server says 0 seconds; 500 says nothing."""
    pauses, sleep = [], asyncio.sleep

    async def noted(seconds, *rest):
        pauses.append(seconds)
        await sleep(0, *rest)

    monkeypatch.setattr(asyncio, "sleep", noted)
    monkeypatch.setattr(http_client, "_FIRST_PAUSE", 1.0)
    faults = [FAULTS["429"], FAULTS["500"], FAULTS["500"], FAULTS["500"]]
    with Server(first_then(faults)) as server:
        endpoint(server, retries=5).ask([question("good")])
    assert pauses[0] == 0
    assert all(0.5 * whole <= pause <= whole for pause, whole in zip(pauses[1:], (2, 4, 8), strict=True))


def test_a_refused_question_is_no_failure_of_the_others():
    def answer(path, body):
        return (400, {"error": {"message": "too long"}}) if "long" in served.asked_text(body) else by_word(path, body)

    with Server(answer) as server:
        replies = endpoint(server).ask([question("good"), question("long"), question("bad")])
    assert [reply.text for reply in replies if isinstance(reply, Reply)] == ["good", "bad"]
    assert replies[1] == Refusal(400, "too long")


def test_no_more_than_so_many_at_one_time_and_equal_ones_once():
    with Server(served.slowly(by_word, 0.05)) as server:
        replies = endpoint(server, concurrency=3).ask([question(f"good {i % 9}") for i in range(18)])
    assert [reply.text for reply in replies] == ["good"] * 18
    assert len(server.questions) == 9
    assert server.most_at_once == 3


def test_no_server_is_one_sentence():
    with Server(by_word) as server:
        asked = endpoint(server)
    begun = time.monotonic()
    with pytest.raises(EndpointError, match=r"no server answers at http://127\.0\.0\.1:\d+/v1 \(.*\); start it"):
        asked.ask([question("good")])
    assert time.monotonic() - begun < 30, "nothing was waited for"


def test_a_redirect_is_not_followed():
    with Server(lambda *_: (307, {})) as server, pytest.raises(EndpointError, match=r"has moved \(307\)"):
        endpoint(server).ask([question("good")])


# Keys


def test_the_key_is_sent_and_a_wrong_one_is_not_told(monkeypatch):
    """The test's server repeats the key it is given, as some do."""
    with Server(by_word, key="sk-right") as server:
        monkeypatch.setenv("TOKENWORTH_API_KEY", "sk-right")
        assert endpoint(server).ask([question("good")])[0].text == "good"
        monkeypatch.setenv("TOKENWORTH_API_KEY", "sk-wrong-one")
        with pytest.raises(EndpointError, match=r"refuses the key in TOKENWORTH_API_KEY \(401: .*\[key\]") as error:
            endpoint(server).ask([question("good")])
        assert "sk-wrong-one" not in str(error.value)
        monkeypatch.delenv("TOKENWORTH_API_KEY")
        with pytest.raises(EndpointError, match="refuses questions without a key"):
            endpoint(server).ask([question("good")])


def test_a_server_that_repeats_the_key_in_its_answer_does_not_bring_it_to_disk(monkeypatch, tmp_path):
    monkeypatch.setenv("TOKENWORTH_API_KEY", "sk-secret")
    with Server(lambda *_: said("your key is sk-secret")) as server:
        (reply,) = endpoint(server, tmp_path).ask([question("good")])
    assert reply.text == "your key is [key]"
    assert b"sk-secret" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("url", "variable", "sentence"),
    [
        (None, "KEY", "needs the server's address; give --url"),
        ("127.0.0.1:8000", "KEY", "is not understood"),
        ("ftp://host/v1", "KEY", "is not understood"),
        ("http://me:sk-secret@host/v1", "KEY", "holds a name, a password or a query"),
        ("http://host/v1?key=sk-secret", "KEY", "holds a name, a password or a query"),
        ("http://host/v1", "sk-secret", "is not the name of an environment variable"),
    ],
)
def test_addresses_that_are_none_or_hold_secrets(url, variable, sentence):
    with pytest.raises(SettingError, match=sentence) as error:
        address_of("endpoint:m", url, variable)
    assert "sk-secret" not in str(error.value)


def test_a_name_is_needed():
    with pytest.raises(SettingError, match="names no model"):
        address_of("endpoint:", "http://host/v1")


def test_an_address_may_end_in_several_ways():
    for end in ("", "/", "/chat/completions", "/completions"):
        assert address_of("endpoint:m", f"http://host/v1{end}").url == "http://host/v1"


# Answers that are kept


def test_kept_answers_are_not_paid_for_again(tmp_path):
    questions = [question(f"good {i}") for i in range(5)]
    with Server(by_word) as server:
        first = endpoint(server, tmp_path).ask(questions)
        again = endpoint(server, tmp_path)
        assert again.ask(questions) == first
        assert again.ledger.found == again.ledger.questions == 5
        assert again.unanswered([*questions, question("new")]) == [question("new")]
    assert set(server.answered.values()) == {1}
    assert "good 3" not in "".join(path.read_text() for path in tmp_path.iterdir()), "texts are not in the file"


def test_another_address_or_question_is_asked(tmp_path):
    with Server(by_word) as one, Server(by_word) as other:
        endpoint(one, tmp_path).ask([question("good")])
        endpoint(other, tmp_path).ask([question("good")])
        endpoint(other, tmp_path).ask([question("good", seed=1)])
    assert (len(one.questions), len(other.questions)) == (1, 2)


def test_damaged_and_cut_lines_are_passed_over(tmp_path):
    questions = [question(f"good {i}") for i in range(4)]
    with Server(by_word) as server:
        endpoint(server, tmp_path, concurrency=1).ask(questions)
        (path,) = tmp_path.iterdir()
        lines = path.read_text().splitlines()
        changed = lines[1].replace('"text": "good"', '"text": "bad"')
        path.write_text("\n".join([lines[0], changed, "[]", "null", '{"key": 3}', lines[2], lines[3][:40]]))
        replies = endpoint(server, tmp_path).ask(questions)
    assert [reply.text for reply in replies] == ["good"] * 4
    assert sorted(server.answered.values()) == [1, 1, 2, 2]


def test_answers_that_came_before_a_failure_are_kept(tmp_path):
    numbers = count()

    def answer(path, body):
        return by_word(path, body) if next(numbers) < 3 else FAULTS["500"]

    questions = [question(f"good {i}") for i in range(6)]
    with Server(answer) as server:
        with pytest.raises(GivenUpError):
            endpoint(server, tmp_path, concurrency=1, retries=0).ask(questions)
        assert len(endpoint(server, tmp_path).unanswered(questions)) == 3


_PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_endpoints_client import question, endpoint
class Address: url = sys.argv[1]
asked = endpoint(Address, Path(sys.argv[2]), timeout=60.0)
asked.ask([question(f"good {{i}}") for i in range(40)])
"""


def test_after_kill_9_nothing_is_paid_for_twice(tmp_path):
    """Some answers are there and some questions hang when the process is killed; the next one asks the rest alone."""
    numbers, hangs = count(), True

    def answer(path, body):
        return served.HANG if hangs and next(numbers) >= 25 else by_word(path, body)

    program = [sys.executable, "-c", _PROGRAM.format(tests=str(Path(__file__).parent))]
    with Server(answer) as server:
        process = subprocess.Popen([*program, server.url, str(tmp_path)])
        while len(server.questions) < 33:  # 25 answered, 8 under way
            time.sleep(0.02)
            assert process.poll() is None
        time.sleep(0.3)
        process.send_signal(signal.SIGKILL)
        process.wait()
        answered = Counter(server.answered)
        hangs = False
        subprocess.run([*program, server.url, str(tmp_path)], check=True)
    assert len(answered) == 25
    assert len(server.answered) == 40
    assert set(server.answered.values()) == {1}


# Money


def test_the_ledger_counts_what_the_server_says(tmp_path):
    with Server(by_word) as server:
        asked = endpoint(server, tmp_path, price_in=2.0, price_out=10.0)
        asked.ask([question(f"good {i}") for i in range(5)])
    assert (asked.ledger.tokens_in, asked.ledger.tokens_out) == (200, 10)
    assert asked.ledger.money == pytest.approx(200 * 2e-6 + 10 * 10e-6)


def test_a_price_out_that_is_not_given_is_that_of_reading():
    assert Prices(2.0).money(1e6, 1e6) == 4.0
    assert Prices().money(1e6, 1e6) is None
    assert Prices(0.0, 3.0).money(1e6, 1e6) == 3.0


def test_a_price_without_usage_is_one_sentence():
    with Server(lambda *_: said("good", usage=False)) as server:
        assert endpoint(server).ask([question("good")])[0].tokens_in is None
        with pytest.raises(EndpointError, match=r"does not say how many tokens an answer took \(no usage\)"):
            endpoint(server, price_in=1.0).ask([question("good")])


def test_the_budget_ends_before_it_is_overrun(tmp_path):
    """An answer costs 42e-6, and is predicted within what it may write; about ten fit."""
    with Server(by_word) as server:
        asked = endpoint(server, tmp_path, price_in=1.0, budget=500e-6, concurrency=2)
        with pytest.raises(EndpointError, match=r"and the budget is 0\.0005; raise it"):
            asked.ask([question(f"good {i}") for i in range(50)])
        assert 5 <= len(server.answered) <= 11
        assert asked.ledger.money <= 500e-6
        more = endpoint(server, tmp_path, price_in=1.0, budget=1.0)
        more.ask([question(f"good {i}") for i in range(50)])
    assert set(server.answered.values()) == {1}


def test_predicted_money_follows_the_tokens_a_character_that_were_seen():
    ledger = Ledger(Prices(1.0, 0.0))
    assert ledger.predicted(1000, 0) == pytest.approx(1.1 * 500e-6)
    ledger.add(Reply("x", None, None, None, 100, 1, 0.1), 400, found=False)
    assert ledger.predicted(1000, 0) == pytest.approx(1.1 * 250e-6)


# Answers as they are read


def test_log_probabilities_of_both_forms_are_read():
    chat = said("A", top={"A": -0.1, "B": -2.0})
    assert read_reply(chat, 0.0).top == {"A": -0.1, "B": -2.0}
    lists = {"tokens": ["a", " b"], "token_logprobs": [None, -1.5], "top_logprobs": [{"x": -1, "y": -float("inf")}]}
    reply = read_reply({"choices": [{"text": "", "logprobs": lists}]}, 0.0)
    assert reply.tokens == ["a", " b"]
    assert reply.log_probabilities[1] == -1.5
    assert reply.top["y"] < -1000


def test_lists_of_other_lengths_are_no_answer():
    with pytest.raises(MalformedError):
        read_reply({"choices": [{"text": "", "logprobs": {"tokens": ["a"], "token_logprobs": []}}]}, 0.0)


def test_a_notebook_with_a_running_loop_can_ask():
    async def cell():
        return endpoint(server).ask([question("good")])

    with Server(by_word) as server:
        assert asyncio.run(cell())[0].text == "good"


def test_what_is_kept_is_what_was_read(tmp_path):
    with Server(lambda *_: said("A", top={"A": -0.25, "B": -1.5})) as server:
        (reply,) = endpoint(server, tmp_path).ask([question("good")])
        (again,) = endpoint(server, tmp_path).ask([question("good")])
    assert again == reply
    assert json.loads(next(tmp_path.iterdir()).read_text())["answer"]["top"] == {"A": -0.25, "B": -1.5}
