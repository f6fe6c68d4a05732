"""How the inspector says things: labels, the help of a node, a parameter's range, a state, JSON."""

from __future__ import annotations

import json
import re

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QSizePolicy

from studio.graph import Json, Node, Param, ParamKind
from studio.gui.editors.number_field import shown
from studio.gui.states import NodeState
from studio.registry import Range, Seed

_SCHEMA_LINE = re.compile(r"^\s*\w+: ")


def prose(doc: str) -> str:
    """The help of a node without its lines on ports and parameters, a paragraph a line."""
    kept = [line for line in doc.strip().splitlines() if not _SCHEMA_LINE.match(line)]
    paragraphs = re.split(r"\n\s*\n", "\n".join(kept).replace("`", ""))
    return "\n\n".join(
        re.sub(r"\s+", " ", paragraph).strip() for paragraph in paragraphs if paragraph.strip()
    )


def label(text: str, role: str = "", *, is_wrapped: bool = False) -> QLabel:
    """A label of plain text with a role that the theme colours."""
    made = QLabel(text)
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setProperty("role", role)
    made.setWordWrap(is_wrapped)
    if is_wrapped:
        made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return made


def words_of(name: str) -> str:
    """A name of a port or parameter as words."""
    return name.replace("_", " ")


def default_words(param: Param) -> str:
    """The default, short enough for a line."""
    text = shown(param.default)
    if param.default is None:
        return "none"
    return text if len(text) <= 40 else text[:39] + "…"


def range_words(param: Param) -> str:
    """What a number may be; "" for what is none."""
    hint = param.hint
    if not isinstance(hint, Range):
        return ""
    text = "64 bit" if isinstance(hint, Seed) else hint.describe()
    if hint.step and param.kind is ParamKind.INT and hint.step > 1:
        text += f", multiples of {int(hint.step)}"
    return text


def note(param: Param) -> str:
    """Range and help of a parameter in a line."""
    help_text = (param.help[:1].upper() + param.help[1:]).replace("`", "")
    return " · ".join(filter(None, (range_words(param), help_text)))


def raw_json(node: Node) -> str:
    """A node as it stands in the file."""
    fields: dict[str, Json] = {"type": node.type, "version": node.version}
    if node.mode != "normal":
        fields["mode"] = node.mode
    fields["params"] = dict(node.params)
    fields["inputs"] = {port: str(link) for port, link in node.inputs.items()}
    fields.update(node.extra)
    return json.dumps(fields, indent=2, ensure_ascii=False)


def state_words(state: NodeState) -> str:
    """What the run or the plan knows of a node; a reason for failing stands on a line of its own."""
    words = [state.text] if state.text else [state.status.replace("_", " ")]
    if state.seconds is not None and not state.text:
        words.append(f"{state.seconds:.1f} s")
    text = " · ".join(words)
    return f"{text}\n{state.error}" if state.error else text
