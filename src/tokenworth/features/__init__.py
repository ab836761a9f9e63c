"""Features: one resumable pass over the texts of a task, kept by content, shared among processes."""

from tokenworth.features.feature_store import Store, default_store, open_store, temporary_store
from tokenworth.features.gather import Features, PassSettings, gather_features
from tokenworth.features.stored_pass import Entry

__all__ = [
    "Entry",
    "Features",
    "PassSettings",
    "Store",
    "default_store",
    "gather_features",
    "open_store",
    "temporary_store",
]
