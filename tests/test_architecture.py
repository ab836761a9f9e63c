"""The shape of the package: who may import whom, what importing costs, and what is never done."""

import ast
import re
import subprocess
import sys
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import tokenworth
from tokenworth.backbones import PUBLISHED as BACKBONES
from tokenworth.tasks import PUBLISHED as TASKS

ROOT = Path(tokenworth.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
DOCUMENT = (ROOT.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")


def rows_of_table(heading):
    """Cells of the first table under a heading of docs/architecture.md, its head left out."""
    section = DOCUMENT.split(f"\n## {heading}\n", 1)[1]
    lines = section[section.index("|") :].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names_in(cell):
    return re.findall(r"`([\w./]+)`", cell)


GRAPH = {
    names_in(row[0])[0].rstrip("/"): {name.rstrip("/") for name in names_in(row[-1])} for row in rows_of_table("Rooms")
}
"""Rooms in their order, and the rooms each one imports, as docs/architecture.md publishes them."""
ORDER = tuple(GRAPH)
BELOW = ("errors", "version")
PAST = ("CHANGELOG.md", "log.md")
"""What every room but scores may import, and what imports nothing of the project."""


def module(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module(path): path for path in FILES}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def statements(tree, *, at_import_time):
    """Import statements; those that run when the module is imported, or all of them."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        later = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or _type_checking(node)
        if not (at_import_time and later):
            waiting.extend(ast.iter_child_nodes(node))


def _type_checking(node):
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imported(name, node):
    """Absolute names of the modules a statement may load, relative ones resolved."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        package = name.split(".") if MODULES[name].name == "__init__.py" else name.split(".")[:-1]
        base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
    inner = [f"{base}.{alias.name}" for alias in node.names]
    return [full if full in MODULES else base for full in inner]


def project_imports(name, *, at_import_time=False):
    found = {full for node in statements(TREES[name], at_import_time=at_import_time) for full in imported(name, node)}
    return {full for full in found if full.split(".")[0] == "tokenworth"}


def room(name):
    """`python -m tokenworth` is the command line by another door."""
    return {"__main__": "cli"}.get(second := [*name.split("."), ""][1], second)


def test_every_room_has_its_place_in_the_order():
    assert {room(name) for name in MODULES} == {"", *ORDER, *BELOW}


def test_relative_imports_and_imports_inside_functions_are_seen():
    """The checks below would be blind without."""
    tree = ast.parse("from ..errors import A\nfrom . import b\ndef f():\n    import tokenworth.cli.app\n")
    nodes = list(statements(tree, at_import_time=False))
    name = "tokenworth.scores.layer"
    assert {full for node in nodes for full in imported(name, node)} == {
        "tokenworth.errors", "tokenworth.scores", "tokenworth.cli.app",
    }  # fmt: skip
    assert len(list(statements(tree, at_import_time=True))) == 2


def test_the_published_graph_is_the_real_one():
    """Every room imports exactly what its row names, and nothing that stands below it in the table."""
    real = {place: set() for place in ORDER}
    for name in MODULES:
        if room(name) in ORDER:
            real[room(name)] |= {room(full) for full in project_imports(name)} - {room(name), *BELOW}
    assert real == GRAPH
    assert all(imports <= set(ORDER[: ORDER.index(place)]) for place, imports in GRAPH.items())


def test_what_lies_below_all_rooms_imports_nothing():
    """Only the front door, which loads a room when a name of it is first used, is above all of them."""
    assert not {full for name in MODULES if room(name) in BELOW for full in project_imports(name)}
    assert not {full for name in MODULES if room(name) == "scores" for full in project_imports(name)} & set(BELOW)


def test_every_feature_is_in_the_file_that_the_table_names():
    rows = rows_of_table("Where is it?")
    assert len(rows) >= 60
    wrong = {}
    for feature, file, symbol in rows:
        path, name = ROOT / names_in(file)[0], names_in(symbol)[0]
        if not path.is_file() or name not in defined_in(path):
            wrong[feature] = (file, symbol)
    assert not wrong


def defined_in(path):
    """Names that a module defines itself: functions, classes, methods as Class.method, values."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def test_files_that_documents_name_exist():
    """docs/log.md tells of days when files had other names."""
    home = ROOT.parents[1]
    documents = [path for path in (*home.glob("*.md"), *home.glob("docs/**/*.md")) if path.name not in PAST]
    named = {
        name for path in documents for name in re.findall(r"`((?:\w+/)+\w+\.py)`", path.read_text(encoding="utf-8"))
    }
    assert len(named) > 100
    assert not {name for name in named if not (home / name).is_file() and not (ROOT / name).is_file()}


def test_at_most_two_files_share_a_name():
    counts = Counter(path.name for path in FILES if path.name not in ("__init__.py", "__main__.py"))
    assert not {name: count for name, count in counts.items() if count > 2}


def test_the_base_stands_on_errors_and_the_version_alone():
    used = {full for name in MODULES if room(name) == "base" for full in project_imports(name)}
    assert {room(full) for full in used} == {"base", *BELOW}


def libraries(name):
    """First names of all that a module imports anywhere."""
    return {
        full.split(".")[0] for node in statements(TREES[name], at_import_time=False) for full in imported(name, node)
    }


def test_scores_needs_no_model_and_no_data_library():
    used = {library for name in MODULES if room(name) == "scores" for library in libraries(name)}
    assert "torch" in used
    assert not used & {"transformers", "tokenizers", "datasets", "pandas", "sklearn", "huggingface_hub"}


def test_no_module_imports_itself_in_a_circle():
    graph = {name: project_imports(name, at_import_time=True) - {name} for name in MODULES}
    with_packages = {
        name: {part for full in found for part in _with_parents(full)} - set(_with_parents(name))
        for name, found in graph.items()
    }
    try:
        TopologicalSorter(with_packages).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


def _with_parents(name):
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(2, len(parts) + 1)]


def loaded_by(statement):
    code = f"{statement}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_is_light():
    heavy = {"torch", "transformers", "datasets", "sklearn", "plotly", "pandas", "numpy", "cyclopts"}
    assert not loaded_by("import tokenworth; dir(tokenworth)") & heavy


def test_help_of_the_command_line_is_light():
    """What --help, a typing mistake and the list of commands wait for."""
    assert not loaded_by("import tokenworth.cli") & {"torch", "transformers", "datasets", "sklearn", "plotly"}


def test_rooms_leave_the_heavy_libraries_for_later():
    rooms = "scores, tasks, backbones, encode, features, probes, assessment, measures, report, cli"
    assert not loaded_by(f"from tokenworth import {rooms}") & {"transformers", "datasets", "sklearn", "plotly"}


def calls(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


CODE_RUNNERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "runpy"}
CODE_RUNNING_CALLS = {"torch.load", "eval", "exec", "compile", "__import__", "pd.read_pickle"}


def runs_what_it_reads(call):
    """Whether a call may execute something that came with a file, by what is written there."""
    called = ast.unparse(call.func)
    if called in CODE_RUNNING_CALLS or called.endswith(".to_pickle"):
        return True
    constants = {key.arg: getattr(key.value, "value", None) for key in call.keywords}
    return constants.get("allow_pickle") is True or constants.get("trust_remote_code", False) is not False


def test_nothing_that_was_brought_in_is_ever_run():
    """A user's --allow-pickle reaches torch's tensors-only reader through transformers, and nothing else."""
    assert not {name: found for name in MODULES if (found := libraries(name) & CODE_RUNNERS)}
    wrong = {
        name: ast.unparse(call) for name, tree in TREES.items() for call in calls(tree) if runs_what_it_reads(call)
    }
    assert not wrong


@pytest.mark.parametrize(
    "code", ["torch.load(f)", "load(f, allow_pickle=True)", "load(f, trust_remote_code=flag)", "df.to_pickle(f)"]
)
def test_the_check_of_calls_can_fail(code):
    assert runs_what_it_reads(ast.parse(code, mode="eval").body)


def test_numpy_files_are_read_without_pickle():
    """np.load says so itself, whatever numpy's default becomes."""
    reads = [
        call for tree in TREES.values() for call in calls(tree) if ast.unparse(call.func) in {"np.load", "numpy.load"}
    ]
    assert reads
    for call in reads:
        assert any(key.arg == "allow_pickle" and ast.unparse(key.value) == "False" for key in call.keywords)


FAMILY_NAMES = {"llama", "gpt", "bert", "roberta", "qwen", "openelm", "pythia", "mistral", "gemma", "opt", "smollm"}


def names_something_known(test):
    """Whether a condition holds the name of a published model or task, or of a family of models."""
    constants = [node.value for node in ast.walk(test) if isinstance(node, ast.Constant)]
    texts = {value.lower() for value in constants if isinstance(value, str)}
    known = {name.lower() for name in (*BACKBONES, *BACKBONES.values(), *TASKS)}
    words = {word for text in texts for word in re.split(r"[^a-z]+", text)}
    return bool(texts & known or words & FAMILY_NAMES)


def test_no_branch_asks_for_the_name_of_a_model_or_a_task():
    """Structure and tables answer."""
    wrong = {}
    for name, tree in TREES.items():
        tests = [node.test for node in ast.walk(tree) if isinstance(node, (ast.If, ast.IfExp, ast.While))]
        compared = [test for test in tests if any(isinstance(node, ast.Compare) for node in ast.walk(test))]
        if asked := [ast.unparse(test) for test in compared if names_something_known(test)]:
            wrong[name] = asked
    assert not wrong


@pytest.mark.parametrize(
    "code", ["kind == 'llama'", "'GPT2' in name", "hub == 'Qwen/Qwen2-0.5B'", "task == 'banking77'"]
)
def test_the_check_of_names_can_fail(code):
    assert names_something_known(ast.parse(code, mode="eval"))
