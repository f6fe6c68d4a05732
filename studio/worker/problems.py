"""Errors as the worker tells of them."""

from __future__ import annotations

from collections.abc import Sequence

from studio.errors import StudioError
from studio.events import Done, RunStatus
from studio.remote import Message
from studio.session import node_of


def unexpected(error: Exception) -> StudioError:
    """A fault of ours, as an error that can be told."""
    text = " ".join(str(error).split())
    return StudioError(
        f"this should not have happened ({type(error).__name__}: {text})",
        remedy="report it with what stands in the log",
    )


def said(error: StudioError) -> Message:
    """An error without its node."""
    return {"what": error.what, "where": error.where, "remedy": error.remedy}


def problems_of(error: StudioError) -> list[Message]:
    """An error, or each of those that it consists of, with the node that it speaks of."""
    several: Sequence[StudioError] = getattr(error, "problems", ()) or (error,)
    return [{"node": node_of(one), **said(one)} for one in several]


def ended(run: str, status: RunStatus) -> dict[str, object]:
    """The end of a run that no engine has ended."""
    return Done(run, status, 0.0, 0, 0, {}, ()).to_json()
