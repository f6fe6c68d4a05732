"""Emulsion: a node-graph studio for diffusion images."""

__version__ = "0.1.0"
