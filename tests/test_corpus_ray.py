"""The Ray engine on a real local cluster: the same documents in the same order as local processes."""

import json
from contextlib import closing

import pandas as pd
import pytest

from small_models import write_folder
from test_corpus_build import files, made
from test_corpus_models import texts
from tokenworth.corpus.engine.engines import OnRay
from tokenworth.errors import TokenworthError

pytest.importorskip("ray", reason="an extra: pip install tokenworth[ray]")


def test_ray_gives_the_same_documents_in_the_same_order(tmp_path):
    def fails(job):
        raise TokenworthError("meant for a person")

    folder = files(tmp_path)
    _, local = made(folder)
    with closing(OnRay(workers=2)) as engine:
        _, spread = made(folder, "spread", engine=engine)
        with pytest.raises(TokenworthError, match="meant for a person"):
            list(engine.map(fails, [(1,)]))
    pd.testing.assert_frame_equal(spread, local)


@pytest.mark.slow  # every worker loads the libraries of models
def test_stages_that_ask_a_model_give_the_same_on_ray(tmp_path):
    model = str(write_folder(tmp_path / "llama", "llama", lm_head=True))
    rows = [{"text": text} for text in texts()]
    (tmp_path / "one.jsonl").write_text("\n".join(map(json.dumps, rows)))
    asked = {"semantic": {"model": model, "threshold": 0.5}, "perplexity": {"model": model, "max_bits_per_byte": 3.0}}
    changes = {"sources": {"one": {"path": "one.jsonl"}}, "stages": asked}
    _, local = made(tmp_path, **changes)
    with closing(OnRay(workers=2)) as engine:
        _, spread = made(tmp_path, "spread", engine=engine, **changes)
    assert 0 < len(local) < len(rows)
    pd.testing.assert_frame_equal(spread, local)
