"""How the inspector says things: labels, the help of a node, its state, its JSON."""

from __future__ import annotations

import json
import re

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QSizePolicy

from studio.graph import Json, Node
from studio.gui.states import NodeState

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
