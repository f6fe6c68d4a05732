"""The inspector: what the selected nodes are, and every parameter of theirs to look at and change."""

from studio.gui.inspector.inspector import Inspector
from studio.gui.inspector.ports import LinkButton
from studio.gui.inspector.row import ParamRow
from studio.gui.inspector.seeds import SeedBook
from studio.gui.inspector.words import prose

__all__ = ["Inspector", "LinkButton", "ParamRow", "SeedBook", "prose"]
