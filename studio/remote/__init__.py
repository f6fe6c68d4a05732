"""The worker as its parent sees it: a child process that is started, asked, cancelled, killed and started again.

Imports neither torch nor Qt, so the editor may. The child is ``python -m studio worker`` (``studio.worker``); it runs
the same engine over the same store as the command line.

``protocol`` says what the two say to each other, ``child`` is one process, ``mailbox`` what lies between its events and
whoever takes them, and ``worker`` keeps one alive.
"""

from studio.remote.mailbox import Mailbox
from studio.remote.protocol import LINE_BYTES, PROTOCOL, Do, Message, Request
from studio.remote.worker import Worker

__all__ = ["LINE_BYTES", "PROTOCOL", "Do", "Mailbox", "Message", "Request", "Worker"]
