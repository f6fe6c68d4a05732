"""The exception tree: messages that say where, what and how to mend it, and the exit codes of the contract."""

from __future__ import annotations

import pytest

from studio import errors


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (errors.NodeError("is empty"), "is empty"),
        (errors.NodeError("is empty", where="a.b"), "a.b: is empty"),
        (errors.NodeError("is empty", where="a.b", remedy="fill it"), "a.b: is empty; fill it"),
        (errors.GraphError("a", "b", "is not connected"), "a.b: is not connected"),
        (errors.GraphError("a", "", "is not there"), "a: is not there"),
    ],
)
def test_a_message_says_where_what_and_how_to_mend_it(error: errors.StudioError, text: str) -> None:
    assert str(error) == text


@pytest.mark.parametrize(
    ("where", "located"),
    [
        ("", "node"),
        (".port", "node.port"),
        ("node", "node"),
        ("node.port", "node.port"),
        ("file.ckpt", "node: file.ckpt"),
        ("node_2.port", "node: node_2.port"),
    ],
)
def test_an_error_is_placed_at_its_node_once(where: str, located: str) -> None:
    error = errors.NodeError("is empty", where=where)
    assert error.located("node").located("node").where == located


def test_a_located_problem_of_a_graph_knows_its_node() -> None:
    error = errors.GraphError("", "steps", "is odd")
    error.located("denoise")
    assert (error.node, error.where) == ("denoise", "denoise.steps")
    error.located("other")
    assert error.node == "denoise"


def test_exit_codes_are_those_of_the_contract() -> None:
    codes = {kind.__name__: kind.exit_code for kind in (errors.FileError, errors.GraphError)}
    assert codes == {"FileError": 2, "GraphError": 2}
    assert errors.ArgumentError.exit_code == 2
    assert errors.ModelError.exit_code == errors.OutputError.exit_code == 1
    assert errors.Cancelled.exit_code == 130
