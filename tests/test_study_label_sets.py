"""A study of a task whose texts have several labels: run, tabled, and kept out of decide's calibration."""

from label_sets import planted_labels, write_labels
from tokenworth.decision import calibration_of
from tokenworth.study import load_study, read_table, run_local
from tokenworth.study.cell_run import task_of

VARIANT = "variants: {cells: {source: cells.csv, delimiter: ';'}}\n"


def test_a_study_runs_on_several_labels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_labels(tmp_path / "a.jsonl", planted_labels())
    (tmp_path / "study.yaml").write_text("name: labels\ntasks: [a.jsonl]\nroutes: [bow]\nseeds: [0]\n")
    study = load_study(tmp_path / "study.yaml")
    run_local(study, tmp_path / "out", workers=1)
    table = read_table(tmp_path / "out")
    assert table["weighted_f1"].notna().all()
    assert calibration_of([tmp_path / "out"]).empty


def test_a_variant_names_the_delimiter(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"text {i},{'a;b' if i % 2 else 'b' if i % 3 else 'a'}\n" for i in range(60))
    (tmp_path / "cells.csv").write_text("text,label\n" + rows)
    (tmp_path / "study.yaml").write_text("name: labels\ntasks: [cells]\nroutes: [bow]\n" + VARIANT)
    study = load_study(tmp_path / "study.yaml")
    assert task_of(study, next(iter(study.cells()))).label_names == ("a", "b")
