"""tokenworth completion: commands and options completed in a shell."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

from cyclopts import Parameter

_Shell = Annotated[
    Literal["bash", "zsh", "fish", "powershell"],
    Parameter(help="Shell to write it for: bash, zsh, fish or powershell."),
]


def completion(shell: _Shell, /) -> None:
    from tokenworth.cli.app import app

    sys.stdout.write(app.generate_completion(prog_name="tokenworth", shell=shell))
