"""Loaded models by content, under a budget of memory: the least recently used goes first."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio.errors import ModelError
from studio.models.library import Library
from studio.models.loading import Text, load_module, load_text, size_of
from studio.values import ModelRef

if TYPE_CHECKING:
    import torch

_Address = tuple[str, str, tuple[tuple[str, float], ...]]


@dataclass(frozen=True)
class Loaded:
    """One loaded model, for reports."""

    name: str
    component: str
    size: int
    """Bytes of its parameters."""
    users: int


@dataclass(eq=False)
class _Slot:
    ref: ModelRef
    held: torch.nn.Module | Text
    size: int
    users: int = 0


class Pool:
    """Models in memory, found by what they are rather than what they are called.

    Whoever uses a model beyond one call holds it by ``use``: such a model is never evicted, so that a run cannot lose
    half of its models to the other half. What is evicted is gone: nothing is moved to another device, because a
    model that is not on its device computes with other kernels. Not for several threads at once.
    """

    def __init__(self, library: Library, *, device: str, dtype: str, budget_bytes: int) -> None:
        """``dtype``: float32, bfloat16 or float16. Nothing is loaded yet, nor is torch imported."""
        self.library = library
        self.device = device
        self.dtype = dtype
        self.budget_bytes = budget_bytes
        self.loading_seconds = 0.0
        """Time spent so far on loading models, and on the imports that loading needs."""
        self._slots: OrderedDict[_Address, _Slot] = OrderedDict()

    def get(self, ref: ModelRef) -> torch.nn.Module:
        """Return a network, loaded if need be: evaluation mode, no gradients, on the pool's device and dtype.

        Raises ModelError if its files are gone, damaged, or other than when the reference was made.
        """
        held = self._slot(ref).held
        return held.encoder if isinstance(held, Text) else held

    def text(self, ref: ModelRef) -> Text:
        """Return a text encoder with its tokenizer; raises as ``get`` does."""
        held = self._slot(ref).held
        if not isinstance(held, Text):
            raise TypeError(f"{ref.component} is no text encoder")
        return held

    @contextmanager
    def use(self, ref: ModelRef) -> Iterator[torch.nn.Module]:
        """Hold a network: it is not evicted before the block ends."""
        slot = self._slot(ref)
        slot.users += 1
        try:
            yield slot.held.encoder if isinstance(slot.held, Text) else slot.held
        finally:
            slot.users -= 1

    def loaded(self) -> tuple[Loaded, ...]:
        """What is in memory, least recently used first."""
        return tuple(
            Loaded(slot.ref.name, slot.ref.component, slot.size, slot.users)
            for slot in self._slots.values()
        )

    def clear(self) -> None:
        """Forget everything that is not in use."""
        self._shrink(0)

    def _slot(self, ref: ModelRef) -> _Slot:
        address = (ref.component, ref.digest, ref.patches)
        slot = self._slots.get(address)
        if slot is None:
            began = time.perf_counter()
            slot = self._load(ref)
            self._slots[address] = slot
            self.loading_seconds += time.perf_counter() - began
        self._slots.move_to_end(address)
        return slot

    def _load(self, ref: ModelRef) -> _Slot:
        if ref.patches:
            raise ModelError("patched weights (LoRA) are not supported", where=ref.name)
        component = self.library.component(ref)
        self._shrink(self.budget_bytes - size_of(component, self.dtype))
        load: Callable[..., torch.nn.Module | Text] = (
            load_text if component.tokenizer else load_module
        )
        held = load(component, device=self.device, dtype=self.dtype)
        module = held.encoder if isinstance(held, Text) else held
        size = sum(weight.numel() * weight.element_size() for weight in module.parameters())
        return _Slot(ref, held, size)

    def _shrink(self, budget_bytes: int) -> None:
        """Evict the least recently used that nobody holds until the rest fits, or nothing is left to evict."""
        total = sum(slot.size for slot in self._slots.values())
        is_evicted = False
        for address, slot in list(self._slots.items()):
            if total <= max(budget_bytes, 0):
                break
            if slot.users == 0:
                del self._slots[address]
                total -= slot.size
                is_evicted = True
        if is_evicted and self.device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()
