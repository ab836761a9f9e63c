"""A small OpenAI-compatible server that gives log-probabilities, over the weights of a transformers folder.

    python bench/log_probability_server.py FOLDER [--port 8766] [--dtype bfloat16]

For measuring and testing what `transformers serve` does not give: completions with `echo` and `logprobs` (every token
of the prompt with its log-probability) and chat completions with `top_logprobs`.  One question at a time, greedy, no
streaming: it is no server to work with.
"""

from __future__ import annotations

import argparse
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch

Body = dict[str, Any]


class CausalAnswers:
    """Answers of one model, by the class of the library that has its language-model head."""

    def __init__(self, folder: str | Path, dtype: str = "float32") -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
        self._lock = threading.Lock()
        self._ids: list[int] = []
        self._values: list[float] = []
        self._kept: Any = None

    def __call__(self, path: str, body: Body) -> Body:
        """What the server sends for a question.

        Args:
            path: /completions or /chat/completions.
            body: of the request.
        """
        with self._lock, torch.inference_mode():
            return self._completed(body) if path == "/completions" else self._chatted(body)

    def _completed(self, body: Body) -> Body:
        prompt = body["prompt"]
        encoded = self.tokenizer(prompt, return_offsets_mapping=True)
        ids, ends = encoded["input_ids"], [end for _, end in encoded["offset_mapping"]]
        before, log_p_V = self.told(ids)
        new = self._continued(ids, log_p_V, body["max_tokens"])
        told = None
        if body.get("logprobs"):
            top = self._top(log_p_V, body["logprobs"])
            tokens = [self.tokenizer.decode([token]) for token in new[:1]]
            values: list[float | None] = [float(log_p_V[new[0]])]
            if body.get("echo"):
                pieces = [prompt[start:end] for start, end in zip([0, *ends], ends, strict=False)]
                tokens, values = [*pieces, *tokens], [None, *before, *values]
            told = {"tokens": tokens, "token_logprobs": values, "top_logprobs": [top]}
        text = self.tokenizer.decode(new, skip_special_tokens=True)
        for stop in body.get("stop", []):
            text = text.partition(stop)[0]
        choice = {"text": prompt * bool(body.get("echo")) + text, "logprobs": told, "finish_reason": "stop"}
        return self._content(choice, len(ids), len(new))

    def _chatted(self, body: Body) -> Body:
        ids = self.tokenizer.apply_chat_template(body["messages"], add_generation_prompt=True, return_dict=False)
        _, log_p_V = self.told(ids)
        new = self._continued(ids, log_p_V, body["max_tokens"])
        told = None
        if body.get("logprobs"):
            listed = self._top(log_p_V, body.get("top_logprobs", 1))
            top = [{"token": token, "logprob": value} for token, value in listed.items()]
            told = {"content": [{**top[0], "top_logprobs": top}]}
        text = self.tokenizer.decode(new, skip_special_tokens=True)
        choice = {"message": {"role": "assistant", "content": text}, "logprobs": told, "finish_reason": "stop"}
        return self._content(choice, len(ids), len(new))

    def told(self, ids: list[int]) -> tuple[list[float], torch.Tensor]:
        """Log-probability of each token but the first, and (V,) of what comes next.

        What a question begins with as the one before it did is not computed again.
        """
        from transformers import DynamicCache

        alike = takewhile(lambda pair: pair[0] == pair[1], zip(ids, self._ids, strict=False))
        kept = max(0, sum(1 for _ in alike) - 1)
        if kept:
            self._kept.crop(kept - len(self._ids))
        else:
            self._kept = DynamicCache()
        made = self.model(torch.tensor([ids[kept:]]), past_key_values=self._kept, use_cache=True)
        log_p_TV = made.logits[0].float().log_softmax(1)
        new = [float(log_p_TV[place, token]) for place, token in enumerate(ids[kept + 1 :])]
        self._ids, self._values = ids, [*self._values[:kept], *new]
        return self._values, log_p_TV[-1]

    def _continued(self, ids: list[int], log_p_V: torch.Tensor, most: int) -> list[int]:
        first = int(log_p_V.argmax())
        if most < 2 or first == self.model.generation_config.eos_token_id:
            return [first]
        ids_1T = torch.tensor([[*ids, first]])
        made = self.model.generate(
            ids_1T, attention_mask=torch.ones_like(ids_1T), max_new_tokens=most - 1, do_sample=False
        )
        return [int(token) for token in made[0, len(ids) :]]

    def _top(self, log_p_V: torch.Tensor, n: int) -> dict[str, float]:
        values, ids = log_p_V.topk(min(n, len(log_p_V)))
        return {
            self.tokenizer.decode([token]): value for token, value in zip(ids.tolist(), values.tolist(), strict=True)
        }

    @staticmethod
    def _content(choice: Body, tokens_in: int, tokens_out: int) -> Body:
        counted = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}
        return {"choices": [{"index": 0, **choice}], "usage": counted}


def serve(answers: CausalAnswers, port: int = 0) -> ThreadingHTTPServer:
    """A server on the loopback, not started yet; its address has the port it got."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Nothing."""

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            content = json.dumps(answers(self.path.removeprefix("/v1"), body)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            content = json.dumps({"data": []}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    return server


def main() -> None:
    """Until it is ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=8766)
    parser.add_argument("--dtype", default="bfloat16")
    options = parser.parse_args()
    server = serve(CausalAnswers(options.folder, options.dtype), options.port)
    print(f"http://127.0.0.1:{options.port}/v1", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
