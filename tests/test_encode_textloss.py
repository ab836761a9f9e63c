"""Loss of next-token prediction: against a slow loop, text by text, and NaN for encoders."""

import math

import pytest
import torch

from planted import planted_task
from small_models import write_folder
from tokenworth.backbones import load_backbone
from tokenworth.encode.text_loss import loss_of, text_loss


@pytest.mark.formats
def test_the_loss_is_that_of_one_text_at_a_time(tmp_path):
    folder = str(write_folder(tmp_path / "llama", "llama", tie_word_embeddings=True))
    backbone = load_backbone(folder, lm_head=True)
    texts = planted_task(30).train.texts
    total, count, size = 0.0, 0, 0
    for text in texts:
        ids = backbone.tokenizer(text)["input_ids"][:12]
        with torch.inference_mode():
            states = backbone.model(input_ids=torch.tensor([ids])).last_hidden_state[0]
            logits = backbone.lm_head(states).double().log_softmax(-1)
        total -= sum(float(logits[place, ids[place + 1]]) for place in range(len(ids) - 1))
        count += len(ids) - 1
        size += len(backbone.tokenizer.decode(ids[1:], skip_special_tokens=True).encode())
    found = text_loss(backbone, texts, max_length=12)
    assert found["tokens"] == count
    assert found["nll"] == pytest.approx(total / count, rel=1e-5)
    assert found["bits_per_byte"] == pytest.approx(total / math.log(2) / size, rel=1e-5)
    assert found == text_loss(backbone, texts, max_length=12)


@pytest.mark.formats
def test_an_encoder_has_none(tmp_path):
    folder = str(write_folder(tmp_path / "bert", "bert"))
    assert math.isnan(text_loss(load_backbone(folder), ["a text"])["nll"])
    assert math.isnan(loss_of(folder, ["a text"])["bits_per_byte"])
