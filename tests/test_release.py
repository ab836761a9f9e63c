"""The files of a release: built from the checkout, installed and used where nothing of it can be seen."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
import yaml

from planted import planted_task, rows_of, write_rows
from small_models import write_folder
from tokenworth.version import __version__

ROOT = Path(__file__).parents[1]


def test_everything_says_the_same_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert citation["version"] == __version__
    assert re.search(r"^## \[?([\d.]+)", changelog, re.MULTILINE)[1] == __version__


def test_the_workflow_tries_every_python_that_is_named():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8"))
    named = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert workflow["jobs"]["tests"]["strategy"]["matrix"]["python"] == named


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel, which is built from the source archive, and that archive."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(out.glob("*.whl")), next(out.glob("*.tar.gz"))


@pytest.mark.slow
def test_the_files_hold_the_package_and_nothing_else(built):
    wheel, source = built
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        facts = next(name for name in names if name.endswith("METADATA"))
        metadata = Parser().parsestr(archive.read(facts).decode("utf-8"))
    package = {
        str(path.relative_to(ROOT / "src"))
        for path in (ROOT / "src" / "tokenworth").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if ".dist-info" not in name} == package
    assert metadata["Version"] == __version__
    assert metadata["Requires-Python"] == ">=3.10"
    with tarfile.open(source) as archive:
        assert any(name.endswith("/LICENSE") for name in archive.getnames())


@pytest.fixture(scope="module")
def environment(built, tmp_path_factory):
    """One that has the wheel, and the libraries of this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    install = ["-m", "pip", "--python", str(folder), "install", "--no-deps", "--no-index", "--quiet", str(built[0])]
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([sys.executable, *install], env=alone, check=True)
    # A folder of the path alone: what is linked from there, such as this checkout, stays unseen.
    place = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    (place / "libraries.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return folder


@pytest.mark.slow
def test_the_wheel_works_outside_of_the_checkout(environment, tmp_path):
    write_rows(tmp_path / "texts.csv", rows_of(planted_task(60)))
    write_folder(tmp_path / "model", "llama")

    def run(program, *arguments):
        alone = {"HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)}
        command = [environment / "bin" / program, *arguments]
        return subprocess.run(command, cwd=tmp_path, env=alone, capture_output=True, text=True, check=False)

    where = run("python", "-c", "import tokenworth; print(tokenworth.__file__)")
    assert where.stdout.startswith(str(environment))
    told = run("tokenworth", "--version")
    assert told.stdout.strip() == __version__, told.stderr
    done = run("tokenworth", "assess", "texts.csv", "--model", "model", "--out", "out", "--no-cache")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "report.html").is_file(), "templates and words are in the wheel"
    assert "worth-real" in run("tokenworth", "study", "list").stdout, "so are the studies"
