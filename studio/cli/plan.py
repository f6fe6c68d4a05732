"""``studio plan``."""

from __future__ import annotations

import argparse
from pathlib import Path

from studio.cli.arguments import settings
from studio.cli.reading import base_folder, read_job
from studio.cli.writing import table, write_json
from studio.plan import Plan, Planned
from studio.plan import plan as make_plan
from studio.session import session


def plan(options: argparse.Namespace) -> int:
    """Print what would run, from which step, why, how long and in how much memory."""
    with session(settings(options)) as open_session:
        job = read_job(options, open_session.registry)
        file: Path = options.file
        planned = make_plan(
            job.graph,
            open_session.registry.types,
            job.targets,
            open_session.planning(base_folder(file, job.workflow, open_session.registry.types)),
            open_session.store,
            str(file.resolve()),
        )
    if options.json:
        write_json(planned.to_json())
    else:
        print("\n".join([*table(map(_row, planned.nodes)), _total(planned)]))
    return 0


def _row(node: Planned) -> tuple[str, str, str]:
    return node.node, _status(node), node.reason + _cost(node)


def _status(node: Planned) -> str:
    if node.status == "resumes":
        return f"resumes at {node.from_step} of {node.steps}"
    if node.status == "runs" and node.steps:
        return f"runs {node.steps} steps"
    return node.status


def _cost(node: Planned) -> str:
    if node.status not in ("runs", "resumes") or node.seconds is None:
        return ""
    return f" ({node.seconds:.2f} s)"


def _total(planned: Plan) -> str:
    stored = sum(node.status == "cached" for node in planned.nodes)
    ahead = [node for node in planned.nodes if node.status in ("runs", "resumes")]
    parts = [
        f"{stored} of {len(planned.nodes)} nodes stored",
        f"{planned.model_calls} model calls ahead",
    ]
    parts += [
        f"{node.node} resumes at {node.from_step} of {node.steps}"
        for node in ahead
        if node.status == "resumes"
    ]
    if ahead:
        is_known = all(node.seconds is not None for node in ahead)
        parts.append(f"about {planned.seconds:.1f} s" if is_known else "duration not known yet")
        if planned.bytes:
            parts.append(f"peak memory about {planned.bytes / 1e9:.2f} GB")
    return ", ".join(parts)
