"""The command that a result keeps."""

import sys

import pytest

from tokenworth.base.versions import command_line, describe_environment


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
