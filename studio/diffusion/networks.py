"""Networks in use: held in the pool for as long as they compute, and stopped between two of their blocks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from studio.registry import Context
from studio.values import ModelRef

if TYPE_CHECKING:
    from torch.nn import Module


@contextlib.contextmanager
def held(ref: ModelRef, ctx: Context) -> Iterator[Module]:
    """Hold a network: not evicted before the block ends, and ``ctx.check`` may raise inside a forward pass.

    The next forward pass of a network that was stopped so is not affected. Raises as ``Pool.get`` does.
    """

    def before(*_: object) -> None:
        ctx.check()

    with ctx.pool.use(ref) as network:
        handles = [block.register_forward_pre_hook(before) for block in _blocks(network)]
        try:
            yield network
        finally:
            for handle in handles:
                handle.remove()


def _blocks(network: Module) -> Iterator[Module]:
    """The parts of a network that are worth a check: the members of its lists of blocks."""
    from torch.nn import ModuleList

    for part in network.children():
        if isinstance(part, ModuleList):
            yield from part
