"""Small decoders for the measures: random ones, trained ones, and machines that stand in for a perfect model."""

from types import SimpleNamespace

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

from tokenworth.measures import decoder_of

WORDS = 60
SMALL = {
    "vocab_size": WORDS + 1, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "max_position_embeddings": 64, "bos_token_id": 0, "eos_token_id": 0,
    "initializer_range": 0.3,
}  # fmt: skip


def tokenizer(words=WORDS, *, begin=True):
    """One token a word: <s> is 0, w0 is 1, w1 is 2, ..."""
    vocabulary = {"<s>": 0} | {f"w{i}": i + 1 for i in range(words)}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="w0"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = {"bos_token": "<s>"} if begin else {}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="w0", **names)


def random_decoder(kind="Llama", *, seed=0, dtype=torch.float32, begin=True, **changes):
    config = getattr(transformers, f"{kind}Config")(**{**SMALL, **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.AutoModelForCausalLM.from_config(config)
    return decoder_of(model.to(dtype), tokenizer(begin=begin))


def texts(count, length, seed=0, words=WORDS):
    """Documents of random words."""
    ids = torch.randint(words, (count, length), generator=torch.Generator().manual_seed(seed))
    return [" ".join(f"w{i}" for i in row) for row in ids.tolist()]


def slow_nll(decoder, ids, at):
    """-log q of the token at a place, from a pass of its own over those before it."""
    with torch.no_grad():
        logits = decoder.model(input_ids=torch.tensor([ids[:at]])).logits[0, -1]
    return -float(logits.double().log_softmax(-1)[ids[at]])


def train(decoder, rows, steps, *, batch=16, rate=3e-3, seed=0):
    """AdamW on random rows; the loss of the last step."""
    rng = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(decoder.model.parameters(), lr=rate, weight_decay=0.0)
    for _ in range(steps):
        chosen = rows[torch.randint(len(rows), (batch,), generator=rng)]
        loss = decoder.model(input_ids=chosen, labels=chosen).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return loss.item()


class Machine(torch.nn.Module):
    """A model by a function from the ids so far to logits of the next token; its cache is the ids themselves."""

    def __init__(self, rule, vocabulary, **config):
        super().__init__()
        self.rule = rule
        self.unused = torch.nn.Parameter(torch.zeros(1))
        settings = SimpleNamespace(vocab_size=vocabulary, max_position_embeddings=64, **config)
        self.config = SimpleNamespace(get_text_config=lambda: settings, vocab_size=vocabulary)

    def forward(self, input_ids, past_key_values=None, use_cache=False):
        before = torch.empty(len(input_ids), 0, dtype=torch.long) if past_key_values is None else past_key_values.ids
        whole = torch.cat([before, input_ids], dim=1)
        logits = [
            torch.stack([self.rule(row[: end + 1]) for end in range(before.shape[1], whole.shape[1])]) for row in whole
        ]
        return SimpleNamespace(logits=torch.stack(logits), past_key_values=_Ids(whole))


class _Ids:
    def __init__(self, ids):
        self.ids = ids

    def batch_repeat_interleave(self, times):
        self.ids = self.ids.repeat_interleave(times, 0)


def machine(rule, words=WORDS):
    return decoder_of(Machine(rule, words + 1, rope_parameters={"rope_type": "default"}), tokenizer(words))
