"""Loaded models by content, under a budget of memory: the least recently used goes first."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from studio.models import lora
from studio.models.library import Library
from studio.models.loading import (
    Text,
    load_module,
    load_text,
    load_trained,
    read_vectors,
    size_of,
    trained_component,
)
from studio.models.parts import Component
from studio.values import ModelRef, Trained

if TYPE_CHECKING:
    import torch

_Patches = tuple[tuple[str, float], ...]
_Address = tuple[str, str, _Patches]


@dataclass(frozen=True)
class Loaded:
    """One loaded model, for reports."""

    name: str
    component: str
    size: int
    """Bytes of its parameters, and of the weights that LoRAs have changed as they were before."""
    users: int


@dataclass(eq=False)
class _Slot:
    ref: ModelRef
    component: Component
    held: torch.nn.Module | Text
    weights_size: int
    users: int = 0
    originals: dict[str, torch.Tensor] = field(default_factory=dict)
    """The weights that LoRAs have changed, as they were before, by the name of their layer."""

    @property
    def module(self) -> torch.nn.Module:
        return self.held.encoder if isinstance(self.held, Text) else self.held

    @property
    def size(self) -> int:
        kept = sum(weight.numel() * weight.element_size() for weight in self.originals.values())
        return self.weights_size + kept


class Pool:
    """Models in memory, found by what they are rather than what they are called.

    Whoever uses a model beyond one call holds it by ``use``: such a model is never evicted, so that a run cannot lose
    half of its models to the other half. What is evicted is gone: nothing is moved to another device, because a
    model that is not on its device computes with other kernels. Not for several threads at once.

    One network serves all LoRAs in turn: its weights are always the file's own plus what acts now, never what was
    there a moment ago, so that a strength gives the same bits whatever went before.
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
        return self._slot(ref).module

    def text(self, ref: ModelRef) -> Text:
        """Return a text encoder with its tokenizer; raises as ``get`` does."""
        held = self._slot(ref).held
        if not isinstance(held, Text):
            raise TypeError(f"{ref.component} is no text encoder")
        return held

    def vectors(self, ref: ModelRef) -> list[torch.Tensor]:
        """The embeddings of a textual inversion, [D] or [N, D] each, as the file has them; raises as ``get`` does."""
        return read_vectors(self.library.component(ref))

    @contextmanager
    def use(self, ref: ModelRef) -> Iterator[torch.nn.Module]:
        """Hold a network: it is not evicted before the block ends."""
        slot = self._slot(ref)
        slot.users += 1
        try:
            yield slot.module
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
        address = _address(ref)
        slot = self._slots.get(address)
        if slot is None:
            began = time.perf_counter()
            former = self._idle(ref)
            slot = self._load(ref) if former is None else self._slots[former]
            if slot.ref.patches != ref.patches:
                self._patch(slot, ref)
            if former is not None:
                del self._slots[former]
            self._slots[address] = slot
            self.loading_seconds += time.perf_counter() - began
        self._slots.move_to_end(address)
        return slot

    def _idle(self, ref: ModelRef) -> _Address | None:
        """Where the same network is with other LoRAs, held by nobody."""
        same = (ref.component, ref.digest)
        slots = self._slots.items()
        return next((at for at, slot in slots if at[:2] == same and slot.users == 0), None)

    def _load(self, ref: ModelRef) -> _Slot:
        if ref.result is not None:
            return self._load_trained(ref)
        component = self.library.component(ref)
        self._shrink(self.budget_bytes - size_of(component, self.dtype))
        load: Callable[..., torch.nn.Module | Text] = (
            load_text if component.tokenizer else load_module
        )
        held = load(component, device=self.device, dtype=self.dtype)
        slot = _Slot(replace(ref, patches=()), component, held, 0)
        slot.weights_size = sum(
            weight.numel() * weight.element_size() for weight in slot.module.parameters()
        )
        return slot

    def _patch(self, slot: _Slot, ref: ModelRef) -> None:
        """Let the LoRAs of ``ref`` act on a network, and no others."""
        files = [(self.library.component(one), strength) for one, strength in ref.patches]
        module = slot.module
        added = lora.sums(module, slot.component, files)
        slot.originals |= lora.originals(module, added.keys() - slot.originals.keys())
        lora.write(module, slot.originals, added)
        slot.ref = ref

    def _load_trained(self, ref: ModelRef) -> _Slot:
        if not isinstance(ref.result, Trained):
            raise TypeError(f"the trained {ref.component} was not handed on with its reference")
        component = trained_component(ref.result, ref.component)
        weights = ref.result.weights[ref.component]
        self._shrink(self.budget_bytes - sum(weight.nbytes for weight in weights.values()))
        held = load_trained(component, weights, device=self.device, dtype=self.dtype)
        size = sum(weight.numel() * weight.element_size() for weight in held.parameters())
        # by content from here on: the slot need not keep the result in memory
        return _Slot(replace(ref, patches=(), result=None), component, held, size)

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


def _address(ref: ModelRef) -> _Address:
    patches = tuple((patch.digest, strength) for patch, strength in ref.patches)
    return ref.component, ref.digest, patches
