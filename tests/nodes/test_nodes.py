"""The set of core nodes as a whole."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import nodes
from studio.registry import collect, node_type


def test_every_declared_node_is_exported_by_name() -> None:
    declared = {
        name
        for module in pkgutil.iter_modules(nodes.__path__)
        for name, item in vars(importlib.import_module(f"nodes.{module.name}")).items()
        if node_type(item) is not None
    }
    assert declared == set(nodes.__all__)


def test_every_port_and_parameter_has_a_line_of_help() -> None:
    silent = [
        f"{declared.id}.{name}"
        for declared in collect(nodes, "core").values()
        for name, text in (
            *((port.name, port.help) for port in declared.inputs),
            *((param.name, param.help) for param in declared.params),
        )
        if not text
    ]
    assert silent == []


def test_importing_the_nodes_loads_none_of_the_heavy_packages() -> None:
    heavy = ["torch", "diffusers", "transformers", "numpy", "scipy", "PIL"]
    code = f"import nodes, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
