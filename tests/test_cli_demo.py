"""The demo from end to end, shortened: pretrain, assess, decide, adapt, report."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.formats
ROOT = Path(__file__).parents[1]


def test_the_demo_runs_offline_and_ends_with_its_pages(tmp_path):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tokenworth", "demo", "--steps", "15", "--max-texts", "150", "--out", "demo"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    out = tmp_path / "demo"
    for name in ("report.html", "first/report.html", "decision/report.html", "adapted/report.html"):
        assert (out / name).stat().st_size > 1_000_000, name
    decision = json.loads((out / "decision" / "decision.json").read_text())
    run = json.loads((out / "adapted" / "result.json").read_text())
    assert run["route"] == decision["recommended"]["route"]
    assert b"- Take " in done.stderr
    model = "pretrain/checkpoints/tokens-{}"  # 8 texts of 128 tokens a step; README's second command takes that of 800
    assert (out / model.format(15 * 1024) / "config.json").is_file()
    assert f"--model out/demo/{model.format(800 * 1024)} " in (ROOT / "README.md").read_text(encoding="utf-8")
