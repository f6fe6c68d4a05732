"""What the worker and its parent say to each other.

JSON objects, one a line, UTF-8, over the child's stdin and stdout. Nothing is pickled. Pixels in lines
are base64 of 8-bit RGB, row by row from the top left, at most 256 pixels a side; whole pictures are files.

*Requests*, to the child (``Request``): ``do`` and ``id``, the ``workflow`` as the text of its file, ``base`` (the
folder that relative files are relative to), ``name`` (under which the workflow's past is remembered: the resolved path
of its file, so that editor and command line share it), ``edits`` (``NODE.PARAM=VALUE``), ``targets``.

::

    run         evaluate; ``output``: folder for pictures ("": BASE/output). The newest run wins: the one before is
                cancelled
    cancel      stop the run ``id``
    plan        what would run and why; answered beside a run
    look        what a ``node`` has given, if that is stored
    trajectory  the stored states of the loop ``node``, of picture ``picture`` of its batch
    measures    what the training ``node`` has measured, as far as that is stored
    describe    work out the noise levels of the schedules that the ``targets`` give, for plans to know
    stop        end in good order; so does the end of stdin

Where a ``plan``, ``look``, ``trajectory``, ``measures`` or ``describe`` still waits when a newer one of the same name
comes, it is never answered.

*Events*, from the child. Those of a run have ``run``, answers have ``request``; ``problems`` are a list of objects with
``node``, ``what``, ``where``, ``remedy``, empty where all is well.

::

    hello       protocol, studio, pid, device, dtype, threads, memory_bytes, numerics {…}, cache (folder or null): it
                listens, plans can be had
    worker      state "ready", seconds: torch is imported, models can be run
    refused     what, where, remedy: it cannot work with these settings, and ends
    started node step progress measured finished failed done
                the engine's (``studio.events``); ``step`` and ``progress`` thinned out, the last of a node always sent;
                of ``measured`` every one
    preview     node, step, width, height, rgb: the predicted picture after a step, at most 10 a second
    picture     node, output, key, index, count (of the batch), width, height, rgb, full_width, full_height, path,
                is_saved, pixels_sha256: a picture that a node gave, when the node is finished, or looked at (then with
                ``request``). ``path`` is a file with the whole picture: the one that was saved, else one that lives
                as long as the worker; "" where only the small one was asked for. ``key`` names the result in the store
    plan        name, nodes {ID: {type, key, status, from_step, steps, reason, seconds, bytes}}, model_calls, seconds,
                bytes, problems
    look        node, count (pictures sent; 0: not stored), problems; after the pictures
    trajectory  node, picture, pictures (of the batch), steps, begin and total (where in the whole schedule the first
                step lies), calls, sigmas, timesteps (steps + 1 of each: model calls so far, noise level, time; null:
                unknown), stored (numbers of steps done, rising), problems; before its states
    state       node, picture, step, sigma, timestep, width, height, x_t, x_0: pixels of one stored state; x_0 is null
                before the first step
    measures    node, key (of its result), steps (in all), series {NAME: {steps, values}} (as in ``measured``; thousands
                are thinned out, each least and greatest kept), figures {NAME: …} (what the result itself says),
                problems
    described   nodes, problems: what can be known of their schedules is among the facts
    memory      bytes (resident), device_bytes (held by torch on an accelerator, else null), total_bytes (of the
                device), models [{name, component, bytes}], problem (why the store cannot write, else null)

``Worker`` adds events of its own::

    worker      state "starting", reason | "crashed", run, node, what, remedy, exit, log | "stopped", what, where,
                remedy ("" where it was asked to)

and drops those of runs that are not the latest. Every run that is not superseded ends with exactly one ``done``: where
the child died it is told ``failed``, where it was killed because it did not obey, ``cancelled``. What was asked of a
child that died, runs apart, is to be asked again after its successor's ``hello``.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Literal, get_args

PROTOCOL = 1
LINE_BYTES = 64 * 2**20
"""The longest line that is taken from the child."""
Message = dict[str, object]
"""An event as it comes out of JSON."""
Do = Literal["run", "cancel", "plan", "look", "trajectory", "measures", "describe", "stop"]


@dataclass(frozen=True)
class Request:
    """A message to the worker; what does not matter to ``do`` keeps its default."""

    do: Do
    id: str = ""
    workflow: str = ""
    base: str = ""
    name: str = ""
    targets: tuple[str, ...] = ()
    edits: tuple[str, ...] = ()
    output: str = ""
    node: str = ""
    picture: int = 0

    def line(self) -> bytes:
        """The request as a line of JSON, escaped to ASCII: file names may be no Unicode."""
        told = {
            field.name: value
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) != field.default
        }
        return json.dumps(told).encode("ascii") + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Request:
        """The inverse of ``line``; raises ValueError for what is no request."""
        found = json.loads(line)
        if not isinstance(found, dict) or found.get("do") not in get_args(Do):
            raise ValueError("it is no request")
        defaults = {field.name: field.default for field in dataclasses.fields(cls)}
        given: dict[str, object] = {}
        for name, value in found.items():
            default = defaults.get(name)
            given[name] = tuple(value) if isinstance(value, list) else value
            if name != "do" and type(given[name]) is not type(default):
                raise ValueError(f"{name} is not known, or of another type")
        return cls(**given)  # type: ignore[arg-type]  # checked against the defaults
