"""A real X screen without a window manager: programs on it, a hand (xdotool), and pictures of what is seen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageGrab

SIZE = (1440, 900)
POLL_S = 0.05


def missing() -> list[str]:
    """The programs that are needed and not installed."""
    return [name for name in ("Xvfb", "xdotool") if shutil.which(name) is None]


@contextmanager
def screen(folder: Path) -> Iterator[Screen]:
    """A screen of its own; ``folder`` takes homes, logs, and the picture of a failure."""
    assert not missing(), f"install {', '.join(missing())}: bash tests/run does, as root"
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "{}x{}x24".format(*SIZE),
         "-nolisten", "tcp", "-noreset"],
        pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(writing)
    made: Screen | None = None
    try:
        with os.fdopen(reading) as number:
            made = Screen(folder, f":{number.readline().strip()}")
        yield made
    except BaseException:
        if made is not None:
            made.grab().save(folder / "failed.png")
        raise
    finally:
        for process in made.processes if made is not None else ():
            process.kill()
            process.wait()
        server.terminate()
        server.wait()


class Screen:
    """The screen, and the hand and the eye before it."""

    def __init__(self, folder: Path, display: str) -> None:
        self._folder = folder
        self.display = display
        self.processes: list[subprocess.Popen[bytes]] = []

    # --- programs

    def start(self, arguments: Sequence[str], environment: dict[str, str]) -> Program:
        """Start ``python -m studio`` with nothing of this process's display."""
        log = self._folder / f"log-{len(self.processes)}.txt"
        given = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("QT_", "WAYLAND", "XDG_"))},
            **environment,
            "DISPLAY": self.display,
        }
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "studio", *arguments],
                env=given, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip
        self.processes.append(process)
        return Program(self, process, log)

    # --- the hand

    def keys(self, *names: str) -> None:
        """Press keys, as xdotool names them."""
        self._do("key", *names)

    def type(self, text: str) -> None:
        """Type."""
        self._do("type", "--delay", "5", "--", text)

    def click(self, x: int, y: int) -> None:
        """Click at a place of the screen."""
        self._do("mousemove", str(x), str(y), "click", "1")

    def _do(self, *arguments: str) -> str:
        done = subprocess.run(
            ["xdotool", *arguments],
            env={**os.environ, "DISPLAY": self.display},
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        return done.stdout

    # --- the eye

    def grab(self) -> Image.Image:
        """What is on the screen."""
        return ImageGrab.grab(xdisplay=self.display)

    def titles(self) -> dict[str, str]:
        """The titles of the windows that are seen, by window."""
        windows = self._do("search", "--onlyvisible", "--name", ".").split()
        return {window: self._do("getwindowname", window).strip() for window in windows}

    def focus(self, title: str, patience_s: float = 30.0) -> None:
        """Wait for a window whose title contains a text, and give it the keyboard, as a window manager would."""
        window = ""

        def is_there() -> bool:
            nonlocal window
            window = next((one for one, name in self.titles().items() if title in name), "")
            return bool(window)

        self.wait(is_there, f"a window {title!r}", patience_s)
        self._do("windowfocus", "--sync", window)

    def wait(self, is_so: Callable[[], object], what: str, patience_s: float = 60.0) -> None:
        """Wait for something; says what did not come, where pictures and logs are, and what the logs say."""
        until = time.monotonic() + patience_s
        while not is_so():
            if time.monotonic() > until:
                said = "\n".join(log.read_text() for log in self._folder.glob("log-*.txt"))
                raise AssertionError(
                    f"there was no {what} within {patience_s:g} s; windows:"
                    f" {list(self.titles().values())}; see {self._folder}/failed.png\n{said}"
                )
            time.sleep(POLL_S)

    def rest(self) -> None:
        """Wait until the lowest line of the screen, where the window says what happens, rests."""
        before, since = b"", time.monotonic()

        def rests() -> bool:
            nonlocal before, since
            seen = self.grab().crop((0, SIZE[1] - 24, SIZE[0] // 2, SIZE[1])).tobytes()
            if seen != before:
                before, since = seen, time.monotonic()
            return time.monotonic() - since > 0.6

        self.wait(rests, "rest in the status line")


class Program:
    """One process on the screen."""

    def __init__(self, screen: Screen, process: subprocess.Popen[bytes], log: Path) -> None:
        self._screen = screen
        self._process = process
        self._log = log

    def ended(self) -> tuple[int, str]:
        """Wait for the end of the process; its exit code, and all that it wrote."""
        self._screen.wait(lambda: self._process.poll() is not None, "end of the process")
        return self._process.returncode, self._log.read_text()
