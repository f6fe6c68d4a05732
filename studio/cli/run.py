"""``studio run``."""

from __future__ import annotations

import argparse
from pathlib import Path

from studio.cli.arguments import settings
from studio.cli.reading import base_folder, read_job
from studio.cli.running import evaluate
from studio.cli.writing import complain, problems_of, write_json
from studio.delivery import Delivery
from studio.errors import StudioError
from studio.events import Done, Event, Failed
from studio.session import node_of, session

EXIT = {"ok": 0, "failed": 1, "cancelled": 130}


def run(options: argparse.Namespace) -> int:
    """Evaluate a workflow; file names or events on stdout, progress on stderr."""
    try:
        done = _run(options)
    except StudioError as error:
        if options.json:
            _tell(error)
        raise
    return EXIT[done.status]


def _run(options: argparse.Namespace) -> Done:
    file: Path = options.file
    with session(settings(options)) as open_session:
        job = read_job(options, open_session.registry)
        base = base_folder(file, job.workflow, open_session.registry.types)
        delivery = Delivery(
            options.output,
            job.workflow,
            open_session.store,
            open_session.machine,
            base,
            open_session.library,
            open_session.registry.types,
        )
        engine = open_session.engine(base, delivery, str(file.resolve()))
        done = evaluate(
            engine, job, _write_event if options.json else _write_files, is_debug=options.debug
        )
        if open_session.store.problem:
            complain(f"cache: {open_session.store.problem}")
    return done


def _write_event(event: Event) -> None:
    write_json(event.to_json())


def _write_files(event: Event) -> None:
    if isinstance(event, Done):
        for written in event.files:
            print(written.path, flush=True)


def _tell(error: StudioError) -> None:
    """The events of a run that never began, for programs that read them: what failed, and the end."""
    for problem in problems_of(error):
        _write_event(Failed("", node_of(problem), problem.what, problem.where, problem.remedy))
    _write_event(Done("", "failed", 0.0, 0, 0, {}, ()))
