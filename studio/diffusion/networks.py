"""Networks in use: held in the pool for as long as they compute, and stopped between two of their blocks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from studio.registry import Context
from studio.values import ModelRef

if TYPE_CHECKING:
    from torch.nn import Module


class _Switch:
    """What the blocks of one network ask before they compute; its hooks stay for as long as the network does."""

    NAME = "_studio_switch"

    def __init__(self, network: Module) -> None:
        self.check: Callable[[], None] | None = None
        for block in _blocks(network):
            block.register_forward_pre_hook(self._before)

    def _before(self, *_: object) -> None:
        if self.check is not None:
            self.check()

    @classmethod
    def of(cls, network: Module) -> _Switch:
        """The switch of a network, built in when it is first asked for."""
        found = vars(network).get(cls.NAME)
        if not isinstance(found, _Switch):
            found = vars(network)[cls.NAME] = cls(network)
        return found


@contextlib.contextmanager
def held(ref: ModelRef, ctx: Context) -> Iterator[Module]:
    """Hold a network: not evicted before the block ends, and ``ctx.check`` may raise inside a forward pass.

    The next forward pass of a network that was stopped so is not affected. Raises as ``Pool.get`` does.
    """
    with ctx.pool.use(ref) as network:
        switch = _Switch.of(network)
        switch.check = ctx.check
        try:
            yield network
        finally:
            switch.check = None


def _blocks(network: Module) -> Iterator[Module]:
    """The parts of a network that are worth a check: the members of its lists of blocks."""
    from torch.nn import ModuleList

    for part in network.children():
        if isinstance(part, ModuleList):
            yield from part
