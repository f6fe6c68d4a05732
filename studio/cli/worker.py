"""``studio worker``, which the editor starts and nobody types."""

from __future__ import annotations

import argparse
import os

from studio.cli.arguments import settings
from studio.worker import serve


def worker(options: argparse.Namespace) -> int:
    """Answer the editor's requests until they end."""
    code = serve(settings(options), options.scratch)
    # all is closed; unloading torch would take seconds
    os._exit(code)
