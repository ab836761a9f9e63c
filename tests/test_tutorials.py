"""Tutorials are executed where the site is built: what a block gives is shown, a block that fails stops the build."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / "tools"
PAGES = sorted(path.stem for path in (ROOT / "docs" / "tutorials").glob("*.md") if path.stem != "index")
MISSING = [
    name for name in ("mkdocs", "jupytext", "nbclient", "ipykernel", "matplotlib") if not importlib.util.find_spec(name)
]
pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (pip install 'tokenworth[docs]')"
)

SHORT = """# How much is two and two?

```python
import pandas as pd

four = 2 + 2
print("counted")
pd.DataFrame({"sum": [four]})
```

It is {{ four:.1f }}, not {{ {"five": 5}["five"] }}.

```python alt="A line that rises"
import matplotlib.pyplot as plt

plt.plot([0, four])
```
"""


@pytest.fixture
def tutorials():
    sys.path.insert(0, str(TOOLS))
    try:
        import tutorials
    finally:
        sys.path.remove(str(TOOLS))
    return tutorials


@pytest.fixture
def written(tutorials, tmp_path):
    def read(text):
        path = tmp_path / "short.md"
        path.write_text(text, encoding="utf-8")
        return tutorials.Tutorial.read(path)

    return read


def test_what_blocks_give_stands_below_them_and_is_kept(tutorials, written, tmp_path, monkeypatch):
    page, figures = written(SHORT).page(tmp_path)
    assert "```text\ncounted\n```" in page
    assert "<td>4</td>" in page
    assert "style" not in page
    assert "It is 4.0, not 5." in page
    (place, png), = figures.items()  # fmt: skip
    assert f"![A line that rises]({place})" in page
    assert png.startswith(b"\x89PNG")

    def never(*_):
        raise AssertionError("executed again")

    monkeypatch.setattr(tutorials.Tutorial, "_run", never)
    assert written(SHORT).page(tmp_path) == (page, figures)
    with pytest.raises(AssertionError, match="executed again"):
        written(SHORT.replace("counted", "counted anew")).page(tmp_path)
    monkeypatch.setattr(tutorials, "__version__", "another")
    with pytest.raises(AssertionError, match="executed again"):
        written(SHORT).page(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("plt.plot([0, four])", "plt.plot([0, fife])"), r"short\.md, block 2 \(line 13\): NameError: name 'fife'"),
        (("{{ four:.1f }}", "{{ fife }}"), r"short\.md, a value in its prose: NameError: name 'fife'"),
        ((' alt="A line that rises"', ""), r"short\.md: a figure without a text"),
    ],
)
def test_a_block_that_fails_is_named(written, tmp_path, change, said):
    from mkdocs.exceptions import PluginError

    with pytest.raises(PluginError, match=said):
        written(SHORT.replace(*change)).page(tmp_path)


def test_a_model_that_is_not_installed_is_said(written, tmp_path):
    page, figures = written(f"---\nneeds: [no-such-package]\n---\n\n{SHORT}").page(tmp_path)
    assert "no-such-package is not installed" in page
    assert "four = 2 + 2" in page
    assert "It is …, not …." in page
    assert not figures


def built(folder, text):
    """Exit code and messages of a strict build of a site with one tutorial, through the hook."""
    docs = folder / "docs"
    (docs / "tutorials").mkdir(parents=True, exist_ok=True)
    (docs / "index.md").write_text("# Start\n\n[A tutorial](tutorials/short.md)\n", encoding="utf-8")
    (docs / "tutorials" / "short.md").write_text(text, encoding="utf-8")
    (folder / "hook.py").write_text(
        f"import sys\nfrom pathlib import Path\nsys.path.insert(0, {str(TOOLS)!r})\nimport tutorials\n\n"
        "def on_files(files, config):\n"
        f"    tutorials.put_in(files, config, tutorials.tutorials(Path({str(docs / 'tutorials')!r})), "
        f"Path({str(folder / 'kept')!r}))\n    return files\n",
        encoding="utf-8",
    )
    settings = {
        "site_name": "short",
        "strict": True,
        "hooks": ["hook.py"],
        "theme": {"name": "material", "font": False},
    }
    (folder / "mkdocs.yml").write_text(
        yaml.safe_dump({**settings, "markdown_extensions": ["attr_list", "md_in_html", "pymdownx.superfences"]}),
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict"]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_a_site_is_built_with_it_or_not_at_all(tmp_path):
    code, said = built(tmp_path, SHORT)
    assert code == 0, said
    page = (tmp_path / "site" / "tutorials" / "short" / "index.html").read_text(encoding="utf-8")
    assert "<td>4</td>" in page
    assert 'alt="A line that rises"' in page
    assert [path.suffix for path in (tmp_path / "site" / "tutorials" / "short").glob("*.png")] == [".png"]

    code, said = built(tmp_path, SHORT.replace("four = 2 + 2", "four = two + two"))
    assert code != 0
    assert "docs/tutorials/short.md, block 1 (line 3): NameError: name 'two' is not defined" in said


def test_every_tutorial_is_in_the_navigation_and_the_index():
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    listed = next(part["Tutorials"] for part in nav if "Tutorials" in part)
    assert sorted(Path(next(iter(entry.values()))).stem for entry in listed[1:]) == PAGES
    assert len(PAGES) >= 6
    index = (ROOT / "docs" / "tutorials" / "index.md").read_text(encoding="utf-8")
    assert [name for name in PAGES if f"({name}.md)" not in index] == []


@pytest.mark.parametrize("name", PAGES)
def test_a_tutorial_asks_draws_and_leads_on(name):
    text = (ROOT / "docs" / "tutorials" / f"{name}.md").read_text(encoding="utf-8")
    question = text.split("\n# ", 1)[1].split("\n\n")[1] if text.startswith("---") else text.split("\n\n")[1]
    assert question.startswith("**")
    assert question.endswith("?**")
    assert '```python alt="' in text.rsplit("\n## The picture", 1)[-1]
    assert text.rsplit("\n## ", 1)[1].startswith("What to do next")
    assert "](" in text.rsplit("\n## ", 1)[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_a_tutorial_is_executed(tutorials, name):
    tutorial = tutorials.Tutorial.read(ROOT / "docs" / "tutorials" / f"{name}.md")
    if tutorial.lacking:
        pytest.skip(f"not installed: {', '.join(tutorial.lacking)}")
    page, figures = tutorial.page()
    assert figures
    assert "{{" not in page
    assert "Executed in" in page
