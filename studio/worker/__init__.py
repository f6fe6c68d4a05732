"""The worker: the child process of the editor that runs workflows, with the engine and the store of the command line.

``studio.remote`` has the protocol, and is the other side. Threads: the main one runs what is to be run, one at a time;
one reads requests; one answers plans, which need no torch; one looks at results; one imports torch while the others
already work. It ends when its parent does: on Linux by the kernel, elsewhere at the end of stdin.
"""

from studio.worker.worker import serve

__all__ = ["serve"]
