"""The training of an autoencoder as plain values; no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from studio.graph import Json
from studio.training.recipe import Recipe, data_card
from studio.values import Dataset, ModelRef, Network

COMPONENT = "vae"
"""As diffusers names it."""
_SHARED = (
    "seed",
    "batch",
    "optimizer",
    "weight_decay",
    "clip",
    "ema",
    "precision",
)
"""What of a recipe an autoencoder's training follows."""


@dataclass(frozen=True)
class Balance:
    """Weights of the parts of an autoencoder's loss; pixels lie in [-1, 1]."""

    l1: float
    gradient: float
    """Of differences of neighbours."""
    scales: float
    """Of absolute errors of what has been averaged over squares of 2, 4 and 8 pixels."""
    mse: float
    chroma: float
    """Of what is left of an error without its grey part."""
    kl: float
    """Of the divergence from the normal distribution, in nats a latent."""


@dataclass(frozen=True)
class VaePlan:
    """All that the training of an autoencoder depends on, but for the steps' rates and where the last part begins."""

    recipe: Recipe
    dataset: Dataset
    network: Network | ModelRef
    """A new network, or the weights to begin with."""
    downscale: int
    crop: int
    """Side of the squares that are learned from before the last part, in pixels; that of the pictures for all of it."""
    balance: Balance
    final: Balance
    """Of the last part, which learns from whole pictures."""
    is_decoder_only: bool = False
    """The encoder stays as it is, and with it the latents that models were trained on."""
    is_whitened: bool = True
    """The latents come out with mean 0 and variance 1, and uncorrelated."""
    validation: Dataset | None = None

    def card(self) -> dict[str, Json]:
        """The plan for the card of the autoencoder that comes of it."""
        document = self.recipe.document()
        recipe: dict[str, Json] = {name: document[name] for name in _SHARED}
        recipe |= {"crop": self.crop, "loss": asdict(self.balance), "last loss": asdict(self.final)}
        if isinstance(self.network, ModelRef):
            recipe |= {"began with": self.network.digest}
        return {
            "summary": f"An autoencoder trained on {self.dataset.count} pictures of"
            f" {self.dataset.size} px.",
            "data": data_card(self.dataset),
            "recipe": recipe,
        }
