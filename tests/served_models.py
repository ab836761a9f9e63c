"""Servers on the loopback that speak OpenAI's API as well, or as badly, as a test wants."""

import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HANG, HALF, GARBAGE, CUT_JSON = "hang", "half", "garbage", "cut"
"""What a server may do instead of answering: nothing, a part of what it announced, no JSON, half of one."""


class Server:
    """Answers with what `answer(path, body)` gives: an object, (status, object), or one of the words above."""

    def __init__(self, answer, *, key="", models=("m",)):
        self.answer, self.key, self.models = answer, key, list(models)
        self.questions, self.answered, self.most_at_once = [], Counter(), 0
        self._at_once, self._lock, self._open = 0, threading.Lock(), threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self):
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._open.set()
        self._http.shutdown()
        self._http.server_close()

    def _handler(server):  # noqa: N805 - of the handler's methods it is the outer one
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                if self._refused():
                    return
                listed = {"data": [{"id": name} for name in server.models]}
                self._send(200, json.dumps(listed).encode())

            def do_POST(self):
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                if self._refused():
                    return
                body, path = json.loads(raw), urlsplit(self.path).path.removeprefix("/v1")
                with server._lock:
                    server.questions.append((path, body))
                    server._at_once += 1
                    server.most_at_once = max(server.most_at_once, server._at_once)
                try:
                    self._reply(path, body, raw)
                finally:
                    with server._lock:
                        server._at_once -= 1

            def _refused(self):
                if server.key and self.headers.get("Authorization") != f"Bearer {server.key}":
                    said = f"Incorrect API key provided: {self.headers.get('Authorization')}"
                    self._send(401, json.dumps({"error": {"message": said}}).encode())
                    return True
                return False

            def _reply(self, path, body, raw):
                given = server.answer(path, body)
                if given == HANG:
                    server._open.wait(60)
                    self.close_connection = True
                    return
                if given == HALF:
                    self.send_response(200)
                    self.send_header("Content-Length", "1000")
                    self.end_headers()
                    self.wfile.write(b'{"choices": [')
                    self.close_connection = True
                    return
                plain = {GARBAGE: b"<html>hello</html>", CUT_JSON: b'{"choices": [{"mess'}
                if isinstance(given, str):
                    self._send(200, plain[given])
                    return
                status, content = given if isinstance(given, tuple) else (200, given)
                if status == 200:
                    with server._lock:
                        server.answered[raw] += 1
                self._send(status, json.dumps(content).encode())

            def _send(self, status, content):
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                if status == 429:
                    self.send_header("Retry-After", "0")
                self.end_headers()
                self.wfile.write(content)

        return Handler


def said(text, path="/chat/completions", top=None, usage=True):
    """An answer in words; `top`: log-probabilities of its first token's alternatives."""
    listed = [{"token": token, "logprob": value} for token, value in (top or {}).items()]
    steps = {"content": [{"token": text[:1], "logprob": -0.1, "top_logprobs": listed}]} if top else None
    choice = {"index": 0, "finish_reason": "stop", "logprobs": steps}
    choice |= {"message": {"role": "assistant", "content": text}} if path.startswith("/chat") else {"text": text}
    counted = {"usage": {"prompt_tokens": 40, "completion_tokens": 2, "total_tokens": 42}} if usage else {}
    return {"choices": [choice], **counted}


def asked_text(body):
    """What the last question is about: between "Text: " and the line's end."""
    prompt = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
    return prompt.rpartition("Text: ")[2].partition("\n")[0]


def by_word(path, body):
    """A model without log-probabilities that knows good from bad."""
    text = asked_text(body)
    return said("good" if "good" in text else "bad", path)


def slowly(answer, seconds):
    """The same after a while."""

    def late(path, body):
        time.sleep(seconds)
        return answer(path, body)

    return late


def refusing(answer, *fields):
    """The same, and 400 where a question has one of these fields."""

    def strict(path, body):
        wrong = [name for name in fields if name in body]
        return (400, {"error": {"message": f"unknown field {wrong[0]}"}}) if wrong else answer(path, body)

    return strict


def reviews(n_train=24, n_test=20):
    """Rows of texts that say which class they are of, but for the last test text, which is of the other one."""
    words = ["film", "book", "meal", "song", "trip", "play", "game"]

    def rows(n, split):
        return [
            {"text": f"{split} {i} a {('good', 'bad')[i % 2]} {words[i % 7]}", "label": ("good", "bad")[i % 2]}
            for i in range(n)
        ]

    train, test = rows(n_train, "train"), rows(n_test, "test")
    test[-1]["label"] = "good" if test[-1]["label"] == "bad" else "bad"
    return train, test


def write_reviews(folder, **sizes):
    """A folder of train.jsonl and test.jsonl."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in zip(("train", "test"), reviews(**sizes), strict=True):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder
