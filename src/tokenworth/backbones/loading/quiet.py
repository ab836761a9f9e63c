"""Loading without the libraries' own messages: what matters of them becomes one of our sentences."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence the log and the progress bars of transformers inside the block, and restore both afterwards."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            # peft asks transformers 5 for an attribute by its old name.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            # It finds by itself which of GPT-2's linear maps are turned, and tells of each.
            warnings.filterwarnings("ignore", "fan_in_fan_out is set to", UserWarning)
            # It looks for a config.json beside an adapter's base, which a GGUF file has none of.
            warnings.filterwarnings("ignore", "Could not find a config file in", UserWarning)
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
