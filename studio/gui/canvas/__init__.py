"""The canvas: the graph as nodes, links, frames and notes that hands and keys compose."""

from studio.gui.canvas.view import Canvas

__all__ = ["Canvas"]
