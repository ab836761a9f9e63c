"""What an assessment leaves on the disk, what is read back, and what is left nowhere."""

import json
import math
import tempfile
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

import tokenworth as tw
from planted import planted_task
from small_models import write_folder
from tokenworth.errors import TokenworthError


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("model") / "llama", "llama")


@pytest.fixture(scope="module")
def saved(llama, tmp_path_factory):
    """A result with numbers that do not exist among those that do, and its folder."""
    folder = tmp_path_factory.mktemp("out") / "deep" / "er"
    task = planted_task(40, 20)
    return tw.assess(str(llama), task, dtype="float32", layers="0,3", out=folder), folder


def test_only_whole_files_are_there(saved):
    _, folder = saved
    assert {path.name for path in folder.iterdir()} == {"assessment.json", "layers.parquet"}


def test_layers_parquet_is_the_table(saved):
    result, folder = saved
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "layers.parquet"), result.table(), check_exact=True)


def test_json_is_strict_and_numbers_that_do_not_exist_are_null(saved):
    result, folder = saved
    text = (folder / "assessment.json").read_text(encoding="utf-8")
    data = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert set(data) == {field.name for field in fields(tw.Assessment)}
    missing = [name for name, value in result.layers[0].items() if math.isnan(value)]
    assert "ar_r2_low" in missing
    assert all(data["layers"][0][name] is None for name in missing)
    assert text == result.to_json()


@pytest.mark.parametrize("named", ["file", "folder"])
def test_a_saved_result_is_read_back_as_it_was(saved, named):
    result, folder = saved
    again = tw.Assessment.load(folder / "assessment.json" if named == "file" else str(folder))
    pd.testing.assert_frame_equal(again.table(), result.table(), check_exact=True)
    assert again.table().dtypes.tolist() == result.table().dtypes.tolist()
    for name in ("curves", "spectrum"):
        assert getattr(again, name).keys() == getattr(result, name).keys()
        for key, values in getattr(again, name).items():
            np.testing.assert_array_equal(values, getattr(result, name)[key])
    for name in ("flags", "probes", "sentences", "timings", "task", "backbone", "settings", "predictions"):
        assert getattr(again, name) == getattr(result, name)
    assert again.to_json() == result.to_json()
    assert again.summary()["sentences"] == result.sentences
    assert tw.write_report(again, folder / "report.html").stat().st_size > 1e6


@pytest.mark.parametrize(
    "content",
    [None, "", "[1, 2]", "{}", "3", b"\xff\xfe"],
    ids=["missing", "empty", "a list", "without fields", "a number", "bytes"],
)
def test_what_is_no_assessment_is_said_to_be_none(tmp_path, content):
    path = tmp_path / "assessment.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(TokenworthError) as caught:
        tw.Assessment.load(path)
    assert f"{path} holds no assessment" in str(caught.value)
    assert "run tokenworth assess again" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unwritable_folder_is_refused_before_the_work(llama, tmp_path, monkeypatch):
    import tokenworth.assessment.assess_task as run

    monkeypatch.setattr(run, "load_backbone", lambda *_args, **_settings: pytest.fail("the work had begun"))
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(TokenworthError) as caught:
            tw.assess(str(llama), planted_task(8, 4), out=out)
        assert f"{out} cannot be written (" in str(caught.value)
        assert "choose another folder with --out" in str(caught.value)
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_disk_that_fills_up_leaves_the_old_result(saved, tmp_path, monkeypatch):
    result, _ = saved
    result.save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_args, **_settings):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(TokenworthError, match=r"cannot be written \(No space left on device\)"):
        result.save(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_features_are_gone_afterwards_also_after_an_error(llama, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen = []
    task = planted_task(20, 10)
    tw.assess(
        str(llama),
        task,
        dtype="float32",
        layers="last",
        cache=False,
        progress=lambda *_: seen.append(list(tmp_path.rglob("*.npy.tmp"))),
    )
    assert seen[0], "the features were somewhere else"
    assert not list(tmp_path.iterdir())

    def interrupt(*_report):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tw.assess(str(llama), task, dtype="float32", layers="last", cache=False, progress=interrupt)
    assert not list(tmp_path.iterdir())
