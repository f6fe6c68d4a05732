"""How well a model paints what it was asked for: ``python -m tests.evaluation --help``."""
