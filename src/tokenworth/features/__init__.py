"""Features: one resumable pass over the texts of a task, kept by content, shared among processes."""

from tokenworth.features.entry import Entry
from tokenworth.features.processes import Processes, join_processes
from tokenworth.features.run import Features, PassSettings, gather_features
from tokenworth.features.store import Store, default_store, temporary_store

__all__ = [
    "Entry",
    "Features",
    "PassSettings",
    "Processes",
    "Store",
    "default_store",
    "gather_features",
    "join_processes",
    "temporary_store",
]
