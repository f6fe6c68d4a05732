"""``studio models``: the model library, without loading any model."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path

from studio.cli.writing import complain, line, size_text, table, write_json
from studio.errors import ArgumentError, FileError, ModelError
from studio.facts import Facts
from studio.models.inspection import Inspection
from studio.models.library import Entry, Library
from studio.session import Settings
from studio.values import Described


def list_models(options: argparse.Namespace) -> int:
    """Print every model by name, with what it is."""
    with _library() as library:
        found = [(entry, _inspected(library, entry)) for entry in library.entries()]
    if options.json:
        write_json(
            {
                "folders": [str(folder) for folder in library.folders],
                "models": [_as_json(entry, inspection) for entry, inspection in found],
            },
            indent=2,
        )
        return 0
    rows = []
    for entry, inspection in found:
        if isinstance(inspection, ModelError):
            rows.append((entry.name, "cannot be used:", inspection.what, "", ""))
        else:
            rows.append(
                (
                    entry.name,
                    inspection.kind.value,
                    inspection.family or ("bundled" if entry.is_bundled else ""),
                    inspection.dtype,
                    size_text(inspection.size),
                )
            )
    for text in table(rows):
        print(text)
    return 0


def show_model(options: argparse.Namespace) -> int:
    """Print what one model consists of: parts, digests, what is missing, what is wrong."""
    with _library() as library:
        try:
            entry = library.find(options.name)
        except ModelError as error:  # nothing failed: the argument names nothing
            raise ArgumentError(error.what, where=error.where, remedy=error.remedy) from error
        inspection = library.inspect(options.name)
        described: Described | ModelError
        try:
            described = library.describe(options.name)
        except ModelError as error:  # a LoRA, a family that cannot be run
            described = error
    digests = {} if isinstance(described, ModelError) else _digests(described)
    problems = [*inspection.problems]
    if isinstance(described, ModelError) and described.what not in problems:
        problems.append(str(described))
    if options.json:
        write_json(
            {
                **_as_json(entry, inspection),
                "digests": digests,
                "missing": {} if isinstance(described, ModelError) else dict(described.missing),
                "problems": problems,
            },
            indent=2,
        )
        return 0
    rows = [
        ("name", entry.name),
        ("path", str(entry.path)),
        ("holds", inspection.kind.value),
        ("family", inspection.family),
        ("predicts", inspection.prediction),
        ("dtype", inspection.dtype),
        ("size", size_text(inspection.size)),
        ("parts", ", ".join(inspection.components)),
    ]
    if not isinstance(described, ModelError):
        if described.model:
            rows.append(("pictures", f"{described.model.sample_size} px a side"))
        rows += [(f"sha256 of {name}", digest) for name, digest in digests.items()]
        rows += [("missing", text) for text in described.missing.values()]
    rows += [("problem", text) for text in problems]
    for text in table(row for row in rows if row[1]):
        print(text)
    return 0


def add_model(options: argparse.Namespace) -> int:
    """Copy or link a model into the first library folder; print its name there."""
    path: Path = options.path
    if not path.exists():
        raise FileError("there is no such file or folder", where=str(path))
    with _library() as library:
        entry = library.add(path, name=options.name, is_link=options.link)
        for problem in _problems(library, entry):
            complain(f"{entry.name}: {problem}")
    print(line(entry.name))
    return 0


def check_models(options: argparse.Namespace) -> int:
    """Read every model anew; print one line per problem."""
    with _library() as library:
        found = list(library.check())
        checked = len(library.entries())
    if options.json:
        write_json(
            {
                "models": checked,
                "problems": [{"name": one.name, "problem": one.problem} for one in found],
            },
            indent=2,
        )
    else:
        for finding in found:
            print(line(f"{finding.name}: {finding.problem}"))
        if not found:
            complain(f"{checked} models are sound")
    return 1 if found else 0


@contextlib.contextmanager
def _library() -> Iterator[Library]:
    settings = Settings()
    facts = Facts(settings.cache_folder / "facts.sqlite")
    try:
        yield Library(settings.model_folders, facts)
    finally:
        facts.close()


def _inspected(library: Library, entry: Entry) -> Inspection | ModelError:
    try:
        return library.inspect(entry.name)
    except ModelError as error:
        return error


def _problems(library: Library, entry: Entry) -> tuple[str, ...]:
    inspection = _inspected(library, entry)
    return (inspection.what,) if isinstance(inspection, ModelError) else inspection.problems


def _digests(described: Described) -> dict[str, str]:
    return {ref.component: ref.digest for ref in described.refs}


def _as_json(entry: Entry, inspection: Inspection | ModelError) -> dict[str, object]:
    document: dict[str, object] = {
        "name": entry.name,
        "path": str(entry.path),
        "is_bundled": entry.is_bundled,
    }
    if isinstance(inspection, ModelError):
        return {**document, "problems": [str(inspection)]}
    return {
        **document,
        "kind": inspection.kind.name.lower(),
        "layout": inspection.layout,
        "family": inspection.family,
        "components": inspection.components,
        "prediction": inspection.prediction,
        "dtype": inspection.dtype,
        "bytes": inspection.size,
        "problems": inspection.problems,
    }
