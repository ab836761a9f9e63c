"""OpenELM."""


def register() -> None:
    """Not here yet."""
