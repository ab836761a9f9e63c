"""The Ray engine on a real local cluster: the same documents in the same order as local processes."""

from contextlib import closing

import pandas as pd
import pytest

from test_corpus_build import files, made
from tokenworth.corpus.engines import OnRay
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
            list(engine.map(fails, [1]))
    pd.testing.assert_frame_equal(spread, local)
