"""The model families: what a checkpoint of each consists of, as small configs under ``resources/families``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from studio.graph import Json
from studio.resources import resource

Config = Mapping[str, Json]
"""A component's hyper-parameters, as diffusers and transformers write them into ``config.json``."""


@dataclass(frozen=True)
class Family:
    """A family of models that share architecture and latents."""

    id: str
    title: str
    latents: str
    """Whose latents its VAE makes: Stable Diffusion 1 and 2 share theirs."""
    components: Mapping[str, Config]
    """Config by component name; empty where the family is recognised but not supported."""
    pads: Mapping[str, str]
    """Padding token of each text encoder's tokenizer."""
    sample_sizes: Mapping[str, int]
    """Side in pixels by prediction type, where the family has models of several sizes."""
    has_zero_empty: bool
    """Zeros stand for the empty prompt, as the family was trained."""

    @property
    def is_supported(self) -> bool:
        """Whether single files of the family can be loaded."""
        return bool(self.components)

    @property
    def prediction(self) -> str:
        """``epsilon`` or ``v_prediction``; "" where models of the family differ and the file cannot tell."""
        kind = self.components.get("scheduler", {}).get("prediction_type")
        return kind if isinstance(kind, str) else ""


@cache
def families() -> Mapping[str, Family]:
    """Return every family by id. Read once: the files ship with the program and do not change."""
    found: dict[str, Family] = {}
    for path in sorted(resource("families").glob("*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        found[path.stem] = Family(
            id=path.stem,
            title=data["title"],
            latents=data["latents"],
            components=data.get("components", {}),
            pads=data.get("pads", {}),
            sample_sizes=data.get("sample_sizes", {}),
            has_zero_empty=data.get("has_zero_empty", False),
        )
    return MappingProxyType(found)


_SIGNATURE = ("block_out_channels", "cross_attention_dim", "in_channels", "addition_embed_type")
_VAE_SIGNATURE = ("block_out_channels", "latent_channels", "scaling_factor")


def family_of_unet(config: Config) -> Family | None:
    """Return the family whose U-Net has this architecture, or None if it is none that we know."""
    return _match("unet", config, _SIGNATURE)


def family_of_vae(config: Config) -> Family | None:
    """Return the first family whose VAE has this architecture and scale, or None if it is none that we know."""
    # configs from before the field existed mean Stable Diffusion 1's factor
    return _match("vae", {"scaling_factor": 0.18215, **config}, _VAE_SIGNATURE)


def _match(component: str, config: Config, fields: tuple[str, ...]) -> Family | None:
    for family in families().values():
        known = family.components.get(component)
        if known is not None and all(known.get(name) == config.get(name) for name in fields):
            return family
    return None
