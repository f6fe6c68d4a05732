"""``studio doctor``: versions, devices, folders, and what is wrong with them, without loading torch."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from packaging.requirements import InvalidRequirement, Requirement

from studio import __version__, numerics
from studio.cli.writing import line, size_text, table, write_json
from studio.errors import ModelError, StudioError
from studio.facts import Facts
from studio.models.library import Library
from studio.models.parts import BUNDLED, bundled
from studio.registry import load
from studio.session import GIB, Settings, tier_folder
from studio.store import survey

DISTRIBUTION = "emulsion"
QT = "PySide6-Essentials"
_IMPORT_LIMIT_S = 300

Status = Literal["ok", "note", "wrong"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    section: str
    name: str
    status: Status
    text: str
    remedy: str = ""


def doctor(options: argparse.Namespace) -> int:
    """Print what was looked at, section by section; exit 1 if something is wrong."""
    settings = Settings(is_safe=options.safe)
    found = [*_versions(), *_devices(), *_folders(settings), *_store(settings), *_content(settings)]
    if options.full:
        found += _imports()
    wrong = [finding for finding in found if finding.status == "wrong"]
    if options.json:
        write_json({"ok": not wrong, "findings": [asdict(finding) for finding in found]}, indent=2)
        return 1 if wrong else 0
    rows = table(
        (
            (
                finding.name,
                {"ok": "", "note": "note:", "wrong": "WRONG:"}[finding.status],
                finding.text + (f"; {finding.remedy}" if finding.remedy else ""),
            )
            for finding in found
        ),
        indent="  ",
    )
    section = ""
    for finding, row in zip(found, rows, strict=True):
        if finding.section != section:
            print(line(finding.section))
            section = finding.section
        print(row)
    print(
        f"{len(wrong)} {'thing is' if len(wrong) == 1 else 'things are'} wrong"
        if wrong
        else "all is well"
    )
    return 1 if wrong else 0


# --- versions


def _versions() -> Iterator[Finding]:
    section = "versions"
    yield Finding(section, "studio", "ok", __version__)
    yield Finding(section, "python", "ok", f"{platform.python_version()} ({sys.executable})")
    yield Finding(section, "system", "ok", platform.platform())
    for requirement in _requirements():
        yield _version(section, requirement)
    found = numerics.version("torchvision")
    if found != "none":
        yield _torchvision(section, found)


def _requirements() -> list[Requirement]:
    """What the program needs, as its installed metadata has it, in that order."""
    try:
        texts = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        # run from a checkout: without ranges
        names = ("torch", "diffusers", "transformers", "safetensors", "numpy", "Pillow", QT)
        texts = list(names)
    requirements = map(Requirement, texts)
    return [
        requirement
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    ]


def _version(section: str, requirement: Requirement) -> Finding:
    name = requirement.name
    found = numerics.version(name)
    if name.lower() == QT.lower() and found == "none":
        found = numerics.version("PySide6")
        if found == "none":
            return Finding(section, name, "note", "not installed; only the editor needs it")
    if found == "none":
        return Finding(section, name, "wrong", "is not installed", f'pip install "{requirement}"')
    if not requirement.specifier.contains(found, prereleases=True):
        return Finding(
            section,
            name,
            "wrong",
            f"{found} is not {requirement.specifier}",
            f'pip install "{name}{requirement.specifier}"',
        )
    return Finding(section, name, "ok", found)


def _torchvision(section: str, found: str) -> Finding:
    """We do not need torchvision, but transformers imports it, and dies if it was built for another torch."""
    torch = numerics.version("torch")
    for text in importlib.metadata.requires("torchvision") or []:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.name == "torch" and not requirement.specifier.contains(
            torch, prereleases=True
        ):
            return Finding(
                section,
                "torchvision",
                "wrong",
                f"{found} was built for torch {requirement.specifier}, but torch is {torch}",
                "pip uninstall torchvision, or install the one that matches",
            )
    return Finding(section, "torchvision", "ok", found)


# --- devices


def _devices() -> Iterator[Finding]:
    section = "devices"
    try:
        chosen = numerics.choose()
    except StudioError as error:
        yield Finding(section, "chosen", "wrong", str(error))
        return
    for index, (name, memory) in enumerate(numerics.cuda_devices()):
        yield Finding(section, f"cuda:{index}", "ok", f"{name}, {size_text(memory)}")
    if not numerics.cuda_devices() and _has_nvidia_driver():
        yield Finding(
            section,
            "cuda",
            "note",
            f"there is an NVIDIA driver, but torch {numerics.version('torch')} cannot use it",
            "install a torch with CUDA (pytorch.org says how)",
        )
    cpu = numerics.choose("cpu")
    yield Finding(
        section,
        "cpu",
        "ok",
        f"{numerics.instruction_set()}, {cpu.numerics.threads} threads, {size_text(cpu.memory_bytes)}",
    )
    can_bfloat16 = numerics.has_fast_bfloat16()
    yield Finding(
        section,
        "bfloat16",
        "ok",
        "this CPU multiplies it in hardware: --dtype bfloat16 is faster"
        if can_bfloat16
        else "not in this CPU's hardware: --dtype bfloat16 would be slow there",
    )
    yield Finding(section, "chosen", "ok", f"{chosen.device} in {chosen.numerics.dtype}")


def _has_nvidia_driver() -> bool:
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


# --- folders


def _folders(settings: Settings) -> Iterator[Finding]:
    section = "folders"
    yield _folder(section, "cache", settings.cache_folder, is_written=True)
    for folder in settings.model_folders:
        yield _folder(section, "models", folder, is_written=False)
    for name in ("STUDIO_CACHE", "STUDIO_MODELS", "STUDIO_THREADS"):
        if name in os.environ:
            yield Finding(section, f"${name}", "ok", os.environ[name])


def _folder(section: str, name: str, folder: Path, *, is_written: bool) -> Finding:
    """Whether a folder, or the nearest one above it that exists, can be written and has room."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        return Finding(section, name, "wrong", f"{folder}: {place} is not a folder")
    free = size_text(shutil.disk_usage(place).free)
    text = f"{folder}{'' if place == folder.absolute() else ' (not there yet)'}, {free} free"
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        status: Status = "wrong" if is_written else "note"
        return Finding(
            section, name, status, f"{text}, cannot be written ({error.strerror})",
            "name another in $STUDIO_CACHE" if is_written else "",
        )  # fmt: skip
    if is_written and shutil.disk_usage(place).free < GIB:
        return Finding(section, name, "wrong", text, "make room, or name another in $STUDIO_CACHE")
    return Finding(section, name, "ok", text)


def _store(settings: Settings) -> Iterator[Finding]:
    section = "store"
    root = settings.cache_folder
    if root.exists() and not root.is_dir():
        return
    facts = Facts(root / "facts.sqlite")
    problem = facts.problem
    facts.close()
    if problem:
        yield Finding(section, "facts", "wrong", problem)
    elif (root / "facts.sqlite.damaged").exists():
        yield Finding(
            section, "facts", "note", "a damaged file was set aside as facts.sqlite.damaged"
        )
    else:
        yield Finding(section, "facts", "ok", str(root / "facts.sqlite"))
    current = tier_folder(root, numerics.choose())
    for tier in survey(root):
        name = tier.folder.name if tier.folder else "store"
        text = f"{tier.entries} entries, {size_text(tier.disk_bytes)}"
        if tier.problem:
            yield Finding(section, name, "wrong", tier.problem)
        elif tier.folder != current:
            yield Finding(section, name, "note", f"{text}, of another device or torch")
        else:
            yield Finding(section, name, "ok", text)


# --- content


def _content(settings: Settings) -> Iterator[Finding]:
    section = "content"
    registry = load(is_safe=settings.is_safe)
    packs = sorted({known.pack for known in registry.types.values()})
    if "core" in packs:
        yield Finding(section, "nodes", "ok", f"{len(registry.types)} types of {', '.join(packs)}")
    else:
        yield Finding(
            section, "nodes", "wrong", "the core nodes are not there", "install the program again"
        )
    for refusal in registry.refused:
        yield Finding(
            section, refusal.where, "wrong", f"is refused: {refusal.what}", refusal.remedy
        )
    library = Library(settings.model_folders, Facts(None))
    for name in bundled():
        try:
            described = library.describe(name)
        except ModelError as error:
            yield Finding(section, name, "wrong", str(error), "install the program again")
            continue
        # companions are made to be used with the starter's other parts
        missing = described.missing.values() if name == BUNDLED else ()
        problems = [*library.inspect(name).problems, *missing]
        for problem in problems:
            yield Finding(section, name, "wrong", problem, "install the program again")
        if not problems:
            yield Finding(section, name, "ok", "the bundled model is whole")
    yield Finding(section, "models", "ok", f"{len(library.entries())} in the library")


# --- imports

_TRIES = {
    "torch": "import torch; print(torch.__version__, torch.version.cuda or 'without CUDA')",
    "diffusers": "import diffusers; print(diffusers.__version__)",
    "transformers": "from transformers import CLIPTextModel; print('CLIP can be loaded')",
    "Qt": "import PySide6.QtWidgets, PySide6; print(PySide6.__version__)",
}


def _imports() -> Iterator[Finding]:
    """Import what is large in processes of its own: a broken library may end its process."""
    for name, code in _TRIES.items():
        if name == "Qt" and numerics.version(QT) == numerics.version("PySide6") == "none":
            continue
        try:
            done = subprocess.run(  # a fixed program
                [sys.executable, "-c", code],
                capture_output=True,
                text=True,
                timeout=_IMPORT_LIMIT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            yield Finding("imports", name, "wrong", f"cannot be imported ({type(error).__name__})")
            continue
        lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
        text = lines[-1] if lines else f"exit code {done.returncode}"
        if done.returncode == 0:
            yield Finding("imports", name, "ok", text)
        else:
            yield Finding("imports", name, "wrong", f"cannot be imported: {text}")
