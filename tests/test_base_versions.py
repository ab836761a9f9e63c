"""The command that a result keeps."""

import sys

import pytest

from tokenworth.base.versions import command_line, describe_environment, version_of


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["/usr/bin/tokenworth", "assess", "my texts.csv"], "tokenworth assess 'my texts.csv'"),
        (["/x/tokenworth/__main__.py", "rank"], "tokenworth rank"),
        (["/usr/bin/pytest", "tests"], None),
        ([""], None),
        ([], None),
    ],
)
def test_the_command_is_that_of_the_package_as_a_shell_takes_it(monkeypatch, argv, said):
    monkeypatch.setattr(sys, "argv", argv)
    assert command_line() == said
    assert describe_environment().get("command") == said


def test_a_release_alone_sets_no_results_apart():
    one, other = ({"tokenworth": release, "numerics": 8} for release in ("0.1.0", "0.2.0"))
    assert version_of(one) == version_of(other) != version_of(one | {"numerics": 7})
    assert version_of({"tokenworth": "0.1.0"}) == "0.1.0"
    assert version_of({}) is None
