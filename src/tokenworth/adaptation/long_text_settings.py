"""What does not go together with the ways to read long texts, whatever the route."""

from __future__ import annotations

from tokenworth.errors import SettingError


def check_long(long: str, *, prefix: str, diagnose: bool, shard: bool) -> None:
    """Raises SettingError: the prefix of a text would be cut off it, or pieces would meet what knows whole texts."""
    pieces = long in ("chunks", "choose")
    if prefix and (pieces or long == "last"):
        raise SettingError(
            f"the prefix stands before a text, and long {long} would read parts of it without; choose first or ends, "
            "or leave prefix out"
        )
    if diagnose and pieces:
        raise SettingError(
            f"diagnose assesses a model, and an assessment knows no long {long}; choose first, last or ends, or leave "
            "diagnose out"
        )
    if shard and pieces:
        raise SettingError(
            f"shard needs as many passes of every process, and under long {long} texts have unlike numbers of pieces; "
            "choose first, last or ends, or train without --shard"
        )
