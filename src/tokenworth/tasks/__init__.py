"""Labelled texts: files, folders, data sets of the hub, the published tasks and the built-in one -> Task."""

from tokenworth.tasks.loader import load_task, load_texts
from tokenworth.tasks.published_tasks import PUBLISHED, Published
from tokenworth.tasks.task import Split, Task

__all__ = ["PUBLISHED", "Published", "Split", "Task", "load_task", "load_texts"]
