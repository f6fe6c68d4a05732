"""Every edit of the editor as a pure function from one workflow to the next; none knows the toolkit.

A refused edit raises GraphError with the reason; the workflow that was given is never changed. How things look is
plain JSON in ``Workflow.view``, and only what is used is written::

    {"nodes": {id: [x, y]}, "collapsed": [id], "pinned": [id], "colors": {id: name},
     "frames": [{"title": …, "rect": [x, y, width, height], "color": …}], "notes": [{"text": …, "rect": […]}]}

A position is the top left corner of a node, in scene units, x to the right and y down. A link is named by the input
that it enters, ``(node, port)``: an input has one link at most.
"""

from studio.gui.edits.adopting import adopt, adopt_all
from studio.gui.edits.backdrops import (
    Frame,
    Note,
    frame,
    frames,
    move_frame,
    nodes_in_frame,
    note,
    notes,
    remove_frame,
    remove_note,
    set_frame,
    set_note,
)
from studio.gui.edits.copies import copy_text, duplicate, paste_text
from studio.gui.edits.groups import body, group, ungroup, with_body, without_stale_groups
from studio.gui.edits.links import (
    connect,
    connect_selected,
    connectable,
    disconnect,
    extract,
    insert_on_link,
    known_types,
    move_links,
    refusal,
)
from studio.gui.edits.nodes import (
    STEMS,
    add_node,
    matching_types,
    remove,
    remove_and_reconnect,
    rename,
    reset_param,
    set_mode,
    set_param,
    stem,
    swap_type,
    toggle_mode,
)
from studio.gui.edits.placing import Align, align, arranged, auto_layout, distribute
from studio.gui.edits.view import (
    Rect,
    Sizes,
    collapse,
    collapsed,
    color,
    colors,
    move,
    pin,
    pinned,
    positions,
    sizes_of,
)
from studio.gui.layout import Point, Size

__all__ = [
    "STEMS",
    "Align",
    "Frame",
    "Note",
    "Point",
    "Rect",
    "Size",
    "Sizes",
    "add_node",
    "adopt",
    "adopt_all",
    "align",
    "arranged",
    "auto_layout",
    "body",
    "collapse",
    "collapsed",
    "color",
    "colors",
    "connect",
    "connect_selected",
    "connectable",
    "copy_text",
    "disconnect",
    "distribute",
    "duplicate",
    "extract",
    "frame",
    "frames",
    "group",
    "insert_on_link",
    "known_types",
    "matching_types",
    "move",
    "move_frame",
    "move_links",
    "nodes_in_frame",
    "note",
    "notes",
    "paste_text",
    "pin",
    "pinned",
    "positions",
    "refusal",
    "remove",
    "remove_and_reconnect",
    "remove_frame",
    "remove_note",
    "rename",
    "reset_param",
    "set_frame",
    "set_mode",
    "set_note",
    "set_param",
    "sizes_of",
    "stem",
    "swap_type",
    "toggle_mode",
    "ungroup",
    "with_body",
    "without_stale_groups",
]
