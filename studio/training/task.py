"""What a training teaches: the networks, the loss of a batch, and how to look at what was learned."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import Module, Parameter

from studio.diffusion import noise, runtime
from studio.graph import Json
from studio.models.loading import build, load_module, load_trained, trained_network
from studio.registry import Context
from studio.values import ModelRef, Network, Trained

# addresses of draws that are no steps
INITIAL_WEIGHTS = -100
SAMPLES = -101
VALIDATION = -102
VALIDATED = 64
"""So many pictures of a validation set are looked at."""

Config = Mapping[str, Json]
Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Origin:
    """What a training begins with, beside its plan."""

    base: Trained | None = None
    """A model that was trained in the same graph."""
    frozen: Mapping[str, object] | None = None
    """The state of this training that it goes on from."""

    def network(
        self, name: str, described: Network | ModelRef, seed: int, ctx: Context
    ) -> tuple[Config, Module]:
        """The config and the network of a component: as the frozen state has it, new, or with a model's weights."""
        device = ctx.pool.device
        if self.frozen is not None and name in self.configs:
            config = self.configs[name]
            component = trained_network(config, name)
            frozen = self.weights(name)
            return config, load_trained(component, frozen, device=device, dtype="float32")
        if isinstance(described, Network):
            config = {"_class_name": described.class_name, **described.config}
            return config, _new(config, name, seed).to(device)
        if self.base is not None and described.component in self.base.configs:
            config = self.base.configs[described.component]
            component = trained_network(config, name)
            weights = self.base.weights[described.component]
            return config, load_trained(component, weights, device=device, dtype="float32")
        component = ctx.pool.library.component(described)
        config = {"_class_name": component.class_name, **component.config}
        return config, load_module(component, device=device, dtype="float32")

    @property
    def configs(self) -> Mapping[str, Config]:
        """Configs of the components whose weights the frozen state has."""
        assert self.frozen is not None, "a training that begins has no state"
        return cast("Mapping[str, Config]", self.frozen["configs"])

    @property
    def files(self) -> Mapping[str, Mapping[str, str]]:
        """Files of components without weights (tokenizers) in the frozen state."""
        assert self.frozen is not None, "a training that begins has no state"
        return cast("Mapping[str, Mapping[str, str]]", self.frozen["files"])

    def weights(self, name: str) -> dict[str, Tensor]:
        """The weights of a component in the frozen state."""
        assert self.frozen is not None, "a training that begins has no state"
        weights = cast("Weights", self.frozen["weights"])
        prefix = f"{name}."
        return {
            key.removeprefix(prefix): weight
            for key, weight in weights.items()
            if key.startswith(prefix)
        }


@dataclass(frozen=True)
class Result:
    """What a training gives, by component as diffusers names them."""

    weights: Mapping[str, Weights]
    configs: Mapping[str, Config]
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class Task(ABC):
    """One kind of training: its networks and what they learn from a batch."""

    networks: Mapping[str, Module]
    """Those that learn, wholly or through adapters, by component."""
    learned: Mapping[str, Parameter]
    """All weights that learn: ``component.name``."""
    configs: Mapping[str, Config]
    """By component, of those whose weights are all learned."""
    device: torch.device
    is_mixed: bool = False
    """Compute in bfloat16 where that is enough."""
    is_late: bool = False
    """The last part of the training has begun, for tasks that have one."""

    @property
    def files(self) -> Mapping[str, Mapping[str, str]]:
        """Files of components without weights."""
        return {}

    @abstractmethod
    def verify(self, ctx: Context) -> None:
        """Raise NodeError if the data cannot all be read."""

    @abstractmethod
    def loss(self, number: int, ctx: Context) -> Tensor:
        """The loss of batch ``number``, with the graph that gradients flow back through."""

    @abstractmethod
    def paint(self, ctx: Context) -> Tensor:
        """Pictures that show what was learned, uint8 [n, 3, H, W] on the CPU."""

    @abstractmethod
    def validate(self, ctx: Context) -> dict[str, float]:
        """Measurements on pictures that are not learned from, the same draws every time; empty without such."""

    @abstractmethod
    def result(self, weights: Weights) -> Result:
        """What comes of it, with ``weights`` in place of ``learned``."""

    def mixed(self) -> contextlib.AbstractContextManager[None]:
        """Where the networks compute."""
        return cast(
            "contextlib.AbstractContextManager[None]",
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.is_mixed),
        )

    @contextlib.contextmanager
    def looking(self, weights: Weights) -> Iterator[None]:
        """The networks with other weights, for looking at them."""
        own = {name: weight.data for name, weight in self.learned.items()}
        for name, weight in self.learned.items():
            weight.data = weights.get(name, weight.data)
        for network in self.networks.values():
            network.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            for name, weight in self.learned.items():
                weight.data = own[name]
            for network in self.networks.values():
                network.train()


def mixes(precision: str, device: torch.device) -> bool:
    """Whether a training computes in bfloat16: where it is asked for and the hardware can; elsewhere in float32."""
    return precision == "bfloat16" and runtime.multiplies_bfloat16(device)


def compiled(network: Module, device: torch.device, *, is_wanted: bool) -> Callable[..., Any]:
    """A network as it is called while it learns: translated for the accelerator on demand (torch.compile)."""
    if not is_wanted or device.type == "cpu":
        return network
    return torch.compile(network, dynamic=False)


def all_learned(networks: Mapping[str, Module]) -> dict[str, Parameter]:
    """Let all weights of some networks learn; returns them as ``Task.learned``."""
    learned: dict[str, Parameter] = {}
    for component, network in networks.items():
        network.requires_grad_(True).train()
        learned |= {f"{component}.{name}": w for name, w in network.named_parameters()}
    return learned


def by_component(weights: Weights) -> dict[str, dict[str, Tensor]]:
    """Weights under ``component.name`` apart."""
    found: dict[str, dict[str, Tensor]] = {}
    for key, weight in weights.items():
        component, _, name = key.partition(".")
        found.setdefault(component, {})[name] = weight
    return found


def laid_out(network: Module, device: torch.device, *, is_mixed: bool) -> None:
    """Bring a network into the layout and the attention that train fastest on a device; measured."""
    if device.type != "cpu" or is_mixed:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # declared for tensors alone
    if device.type != "cpu":
        return
    from diffusers.models.attention_processor import Attention, AttnProcessor

    # the backward pass of the fused attention costs half of a step on a CPU
    for part in network.modules():
        if isinstance(part, Attention):
            part.set_processor(AttnProcessor())


def _new(config: Config, name: str, seed: int) -> Module:
    """A network with random weights, the same on every machine of one torch version."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(noise.generator(seed, INITIAL_WEIGHTS).initial_seed())
        return build(trained_network(config, name))
