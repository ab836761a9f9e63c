"""A Ray cluster: joined where its address is known to answer, started on this machine otherwise."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from tokenworth.errors import SettingError

if TYPE_CHECKING:
    from types import ModuleType

_LOCAL = (None, "", "local")


def ray_cluster(address: str | None, workers: int | None) -> tuple[ModuleType, bool]:
    """Ray, connected; and whether the cluster was started here, so that who asked must stop it.

    Args:
        address: of a running cluster ("HOST:PORT" or "auto"); None starts one.
        workers: processors of a cluster that is started here.

    Raises:
        SettingError: Ray is not installed, or the address does not answer.
    """
    try:
        import ray
    except ImportError as error:
        raise SettingError("the engine ray needs Ray: pip install tokenworth[ray]") from error
    quiet: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if ray.is_initialized():
        return ray, False
    if address in _LOCAL:
        ray.init(num_cpus=workers, include_dashboard=False, **quiet)
        return ray, True
    _check_answer(str(address))
    try:
        ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise SettingError(f"the Ray cluster at {address} does not take this program in ({error})") from error
    return ray, True


def _check_answer(address: str) -> None:
    """Ray itself tries for minutes, and then ends the program."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host:
        return  # "auto"
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError, OverflowError) as error:  # OverflowError: no port has that number
        raise SettingError(f"the Ray cluster at {address} does not answer ({error}); is it running there?") from error
