"""The workflow file and what is done with it before it is run.

``workflow`` is the value, ``file`` reads and writes it, on ``json_text``; ``updating`` brings its nodes up to today's
types, ``parameters`` sets one from text, and ``groups`` unfolds and checks it.
"""

from studio.workflow.file import (
    MAX_PICTURE_BYTES,
    MIGRATIONS,
    VERSION,
    dumps,
    load,
    loads,
    save,
)
from studio.workflow.groups import check, flat_targets, flatten, group_types
from studio.workflow.json_text import parse
from studio.workflow.parameters import set_param
from studio.workflow.updating import complete, migrate
from studio.workflow.workflow import Group, Inner, Workflow

__all__ = [
    "MAX_PICTURE_BYTES",
    "MIGRATIONS",
    "VERSION",
    "Group",
    "Inner",
    "Workflow",
    "check",
    "complete",
    "dumps",
    "flat_targets",
    "flatten",
    "group_types",
    "load",
    "loads",
    "migrate",
    "parse",
    "save",
    "set_param",
]
