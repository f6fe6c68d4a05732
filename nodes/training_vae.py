"""Training of autoencoders: a new one, and the loop that teaches it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, NamedTuple, cast

from nodes.training_frame import Taught
from studio.errors import GraphError, NodeError
from studio.graph import Json, Key, NodeKind, Ref, Value
from studio.keys import digest
from studio.registry import Chain, Choice, Context, Numbers, Planning, Range, Seed, Spec, node
from studio.training.recipe import OPTIMIZERS, PRECISIONS, Rates, Recipe, blocks
from studio.training.vae_plan import COMPONENT, Balance, VaePlan
from studio.values import Dataset, Image, ModelRef, Network, State, Trained, Vae

_MOST_STEPS = 10_000_000
_AUTOENCODER = "AutoencoderKL"


@node(
    "new_vae",
    version=1,
    category="training",
    kind=NodeKind.DESCRIBE,
    aliases=("autoencoder", "network", "untrained"),
)
def new_vae(
    channels: Annotated[list[int], Numbers()] = [32, 64, 128, 128],  # noqa: B006 - a declared default, never changed
    layers: Annotated[int, Range(1, 4)] = 1,
    latent_channels: Annotated[int, Range(1, 64)] = 4,
    groups: Annotated[int, Range(1, 64)] = 8,
    attention: bool = False,
) -> Network:
    """An autoencoder that has learned nothing yet (Kingma & Welling 2013; Rombach et al. 2022), for train_vae.

    With four levels a latent stands for 8 x 8 pixels, as in Stable Diffusion.

      channels: Width of each level, the picture's own size first, each further one half as large.
      layers: Residual blocks a level; the decoder has one more.
      latent_channels: Numbers a latent.
      groups: Of the group norms; every width is a multiple of it.
      attention: Look at the smallest level as a whole; slow on large pictures.
      network: The autoencoder, described.
    """
    widths = [int(width) for width in channels]
    if not widths or any(width < 1 or width % groups for width in widths):
        raise NodeError(
            f"channels {channels} are not all multiples of groups {groups}",
            where=".channels",
            remedy="such as 32, 64, 128, 128 with 8 groups",
        )
    depth = len(widths)
    return Network(
        _AUTOENCODER,
        {
            "in_channels": 3,
            "out_channels": 3,
            "latent_channels": latent_channels,
            "block_out_channels": list(widths),
            "layers_per_block": layers,
            "down_block_types": ["DownEncoderBlock2D"] * depth,
            "up_block_types": ["UpDecoderBlock2D"] * depth,
            "norm_num_groups": groups,
            "mid_block_add_attention": attention,
            "use_quant_conv": True,
            "use_post_quant_conv": True,
            "scaling_factor": 1.0,
            "force_upcast": False,
        },
    )


class VaeTraining(NamedTuple):
    """What the training of an autoencoder gives."""

    vae: Vae
    trained: Trained
    samples: Image


@node(
    "train_vae",
    version=1,
    category="training",
    aliases=("autoencoder", "train", "trainer"),
)
class TrainVae(Taught):
    """Teach an autoencoder to keep pictures in few numbers: the latents that a latent diffusion model works on.

    Most of the training looks at small squares, which are many more for the same work; the last part at whole pictures,
    and most at the squared error, which PSNR measures. In the end the latents are brought to mean 0 and variance 1
    within the network's own two convolutions around them, so that their scaling factor is 1.

      dataset: What to learn.
      network: A new autoencoder (new_vae) to begin with.
      vae: A trained one to go on with, in place of a new one.
      validation: Pictures that are not learned, to measure by.
      steps: How many steps to take in all.
      batch: Squares a batch; in the last part as many pixels in whole pictures.
      crop: Side of the squares, cut out at random, at multiples of what a latent stands for; 0 takes whole pictures.
      whole: Share of the last steps that learn from whole pictures.
      learning_rate: Of the plateau.
      warmup: Steps over which the rate rises.
      decay: Share of the steps over which the rate falls at the end, along half a cosine.
      l1: Weight of the absolute error; pixels lie in [-1, 1].
      gradient: Weight of the absolute error of differences of neighbours: of edges.
      scales: Weight of the absolute error of averages over 2, 4 and 8 pixels.
      mse: Weight of the squared error.
      final_mse: The same in the last part.
      chroma: Weight of the absolute error of colour without lightness; without it small things turn grey.
      kl: Weight of the divergence of the latents from the normal distribution, in nats a latent.
      decoder_only: Leave the encoder, and so the latents that models were trained on, as they are.
      whiten: Bring the latents to mean 0, variance 1 and no correlations; off where a model works on them already.
      optimizer: AdamW, or Muon for matrices and AdamW for the rest.
      weight_decay: Pull of the weights towards 0.
      clip: Largest norm of the gradients; 0 is no limit.
      ema: Decay of the average of the weights, which is what comes out; 0 keeps none.
      precision: bfloat16 halves the memory and is faster; where the hardware cannot, it is float32.
      compiled: Translate the network for the graphics card first: a minute or two in all, faster from then on.
      checkpoint_every: Steps between two states that are stored.
      sample_every: Steps between two looks at what it paints by now; 0 looks at the end alone.
      samples: Pictures a look, each above what is made of it.
      validate_every: Steps between two measurements of the PSNR on the validation set; 0 measures at the end alone.
      seed: Of first weights, order, squares, noise and all other chances.
      trained: The weights and how they came about, for save_model.
      samples: What it painted on the way, a sheet each.
    """

    def chain(
        self,
        dataset: Dataset,
        network: Network | None,
        vae: Vae | None,
        validation: Dataset | None,
        ctx: Planning,
        steps: Annotated[int, Range(1, _MOST_STEPS, unit="steps")] = 3000,
        batch: Annotated[int, Range(1, 4096, unit="pictures")] = 16,
        crop: Annotated[int, Range(0, 2048, unit="px")] = 64,
        whole: Annotated[float, Range(0, 1, 0.05)] = 0.2,
        learning_rate: Annotated[float, Range(0, 1)] = 0.003,
        warmup: Annotated[int, Range(0, _MOST_STEPS, unit="steps")] = 100,
        decay: Annotated[float, Range(0, 1, 0.05)] = 0.4,
        l1: Annotated[float, Range(0, 100)] = 1.0,
        gradient: Annotated[float, Range(0, 100)] = 0.7,
        scales: Annotated[float, Range(0, 100)] = 0.5,
        mse: Annotated[float, Range(0, 1000)] = 5.0,
        final_mse: Annotated[float, Range(0, 1000)] = 30.0,
        chroma: Annotated[float, Range(0, 100)] = 0.5,
        kl: Annotated[float, Range(0, 1)] = 0.0003,
        decoder_only: bool = False,
        whiten: bool = True,
        optimizer: Annotated[str, Choice(*OPTIMIZERS)] = "muon",
        weight_decay: Annotated[float, Range(0, 10)] = 0.0,
        clip: Annotated[float, Range(0, 1000)] = 1.0,
        ema: Annotated[float, Range(0, 1)] = 0.999,
        precision: Annotated[str, Choice(*PRECISIONS)] = "float32",
        compiled: bool = False,
        checkpoint_every: Annotated[int, Range(1, 100_000, unit="steps")] = 100,
        sample_every: Annotated[int, Range(0, 1_000_000, unit="steps")] = 100,
        samples: Annotated[int, Range(1, 64, unit="pictures")] = 8,
        validate_every: Annotated[int, Range(0, 1_000_000, unit="steps")] = 0,
        seed: Annotated[int, Seed()] = 0,
    ) -> list[Chain]:
        """One chain: a spec for every block of steps between two checkpoints."""
        recipe = Recipe(
            seed=seed,
            batch=batch,
            optimizer=optimizer,
            weight_decay=weight_decay,
            clip=clip,
            ema=ema,
            precision=precision,
            is_compiled=compiled,
            sample_every=sample_every,
            samples=samples,
            validate_every=validate_every,
        )
        balance = Balance(l1, gradient, scales, mse, chroma, kl)
        begun = _begun(network, vae)
        downscale = _downscale(network, vae)
        plan = VaePlan(
            recipe=recipe,
            dataset=dataset,
            network=begun,
            downscale=downscale,
            crop=crop or dataset.size,
            balance=balance,
            final=replace(balance, mse=final_mse),
            is_decoder_only=decoder_only,
            is_whitened=whiten and not decoder_only,
            validation=validation,
        )
        _check_sizes(plan)
        uses = {}
        if vae is not None and vae.ref.result is not None:
            uses["base"] = cast("Ref", vae.ref.result)
        rates = Rates(learning_rate, warmup, decay)
        turn = steps - round(steps * whole)
        cost = f"vae {digest(begun)[:12]} {plan.crop} {batch} {precision}"
        return [_chain(plan, steps, checkpoint_every, rates, turn, uses, cost)]

    def announce(self, key: Key, arguments: Mapping[str, object]) -> Mapping[str, Value]:
        """The autoencoder that the training gives, as other nodes take it."""
        ref = ModelRef("trained", COMPONENT, key, result=Ref(key, "trained"))
        vae = cast("Vae | None", arguments["vae"])
        if vae is not None:
            family = "" if arguments["whiten"] else vae.family
            return {"vae": replace(vae, ref=ref, family=family)}
        network = cast("Network", arguments["network"])
        channels = int(str(network.config["latent_channels"]))
        return {"vae": Vae(ref, "", channels, _downscale(network, None))}

    def finish(self, states: Sequence[State], ctx: Context) -> VaeTraining:
        """The averaged weights with their latents in order, and the looks on the way."""
        from studio.training import loop

        # the autoencoder was announced before
        return VaeTraining(cast("Vae", None), *loop.finish(states, ctx))


def _chain(
    plan: VaePlan,
    steps: int,
    every: int,
    rates: Rates,
    turn: int,
    uses: Mapping[str, Ref],
    cost: str,
) -> Chain:
    """A spec for every block of steps; those that reach beyond ``turn`` tell when the last part begins."""
    # more steps may go on from what does not depend on their number
    shared = min(rates.decay_start(steps), turn) // every * every
    specs = []
    for block in blocks(steps, every, rates):
        end = block.first + len(block.rates)
        params: dict[str, object] = {"first": block.first, "rates": block.rates}
        if end > turn:
            params["turn"] = turn
        specs.append(
            Spec(
                params,
                unhashed={"plan": plan},
                count=len(block.rates),
                is_lasting=end == shared,
            )
        )
    return Chain(Spec({"plan": plan}, uses, is_lasting=False), tuple(specs), cost)


def _begun(network: Network | None, vae: Vae | None) -> Network | ModelRef:
    """What the training begins with; raises GraphError unless one of the two is given, and is an autoencoder."""
    if network is not None and vae is None:
        if network.class_name != _AUTOENCODER:
            raise GraphError(
                "", "network", f"is a {network.class_name}", remedy="link a new_vae instead"
            )
        return network
    if vae is not None and network is None:
        return replace(vae.ref, result=None)
    raise GraphError(
        "", "network", "or vae: one of the two is needed, and only one", remedy="link one"
    )


def _downscale(network: Network | None, vae: Vae | None) -> int:
    """Pixels per latent, in each direction."""
    if vae is not None:
        return vae.downscale
    widths = cast("list[Json]", network.config["block_out_channels"] if network else [0])
    return int(2 ** (len(widths) - 1))


def _check_sizes(plan: VaePlan) -> None:
    size, crop, unit = plan.dataset.size, plan.crop, plan.downscale
    if size % unit:
        raise GraphError(
            "",
            "dataset",
            f"has pictures of {size} px, and a latent stands for {unit} px",
            remedy=f"choose a multiple of {unit} px",
        )
    if crop % unit or crop > size:
        raise NodeError(
            f"squares of {crop} px do not fit pictures of {size} px and latents of {unit} px",
            where=".crop",
            remedy=f"choose a multiple of {unit} up to {size}, or 0 for whole pictures",
        )
    if plan.validation is not None and plan.validation.size != size:
        raise GraphError(
            "",
            "validation",
            f"has pictures of {plan.validation.size} px, and the data set of {size} px",
            remedy="give both one size",
        )
