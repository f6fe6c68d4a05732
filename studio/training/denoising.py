"""Teaching a denoising network: draw a timestep, add noise in closed form, predict (Ho et al. 2020, algorithm 1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import Module, Parameter

from studio.diffusion import noise
from studio.diffusion.denoise import time_ids
from studio.errors import NodeError
from studio.registry import Context
from studio.training import objective
from studio.training.adapters import attach, file_tensors
from studio.training.data import Examples
from studio.training.feeding import SIGNAL, Feed, Seen, decoded
from studio.training.objective import Process
from studio.training.reading import (
    TEXT_ENCODER,
    TOKENIZER,
    FixedReader,
    LearningReader,
    Reader,
)
from studio.training.recipe import Plan
from studio.training.task import (
    SAMPLES,
    VALIDATED,
    VALIDATION,
    Config,
    Origin,
    Result,
    Task,
    Weights,
    all_learned,
    by_component,
    compiled,
    laid_out,
    mixes,
)
from studio.values import LORA, Dataset, Network

_DROPOUT = -(2**40)
_PRIOR = 2**41
"""Address of the draws of the first batch of a prior; those of later ones lie above."""
_BANDS = 4
"""Quarters of the timesteps that validation tells apart."""

Told = Mapping[str, Any]
"""What a network is told beside the noisy signal and the timestep: tensors by the name of the argument, and for the XL
family several of them under one."""


class Denoising(Task):
    """Teaches a U-Net, or adapters beside one, and on demand the text encoder that it reads by."""

    def __init__(self, plan: Plan, ctx: Context, origin: Origin) -> None:
        self.plan = plan
        self.recipe = plan.recipe
        self.device = torch.device(ctx.pool.device)
        self.is_mixed = mixes(self.recipe.precision, self.device)
        self.process = Process.of(plan.recipe.target, plan.betas)
        self.feed = self._fed(plan.dataset)
        self._validation = None if plan.validation is None else self._fed(plan.validation)
        self._prior = None if plan.prior is None else self._fed(plan.prior)
        config, self.network = self._begun(origin, ctx)
        if isinstance(plan.network, Network):
            # what it paints when nobody names a size
            config = {"sample_size": plan.latent_size, **config}
        laid_out(self.network, self.device, is_mixed=self.is_mixed)
        self._learning = compiled(self.network, self.device, is_wanted=self.recipe.is_compiled)
        self.configs: dict[str, Config] = {}
        self.networks: dict[str, Module] = {"unet": self.network}
        self._reader = self._reading(origin, ctx)
        self.learned = self._learners(config, origin, ctx)

    def _fed(self, dataset: Dataset) -> Feed:
        """What gives the pictures of a data set."""
        return Feed(dataset, self.recipe.seed, self.device, self.plan.vae)

    def _begun(self, origin: Origin, ctx: Context) -> tuple[Config, Module]:
        """The network as the training finds it."""
        return origin.network("unet", self.plan.network, self.recipe.seed, ctx)

    def _learners(self, config: Config, origin: Origin, ctx: Context) -> dict[str, Parameter]:
        """Let learn what is to learn, and note its configs."""
        adapters = self.plan.adapters
        if adapters is not None:
            return attach(
                self.network, adapters.rank, adapters.alpha, adapters.layers, self.recipe.seed
            )
        self.configs["unet"] = config
        if isinstance(self._reader, LearningReader):
            self.configs[TEXT_ENCODER] = self._reader.config
        return all_learned(self.networks)

    def _reading(self, origin: Origin, ctx: Context) -> Reader | None:
        plan = self.plan
        if plan.text_encoder is not None and not plan.learns_text:
            return FixedReader(plan.text_encoder, self.device)
        if plan.text_encoder is not None:
            (ref,) = plan.text_encoder.refs
            weights = None if origin.frozen is None else origin.weights(TEXT_ENCODER)
            reader = LearningReader.known(ctx.pool.library.component(ref), weights, self.device)
        elif plan.new_text is None:
            return None
        elif origin.frozen is None:
            reader = LearningReader.new(
                plan.new_text, self.feed.examples, self.recipe.seed, self.device
            )
        else:
            reader = LearningReader.thawed(
                origin.configs[TEXT_ENCODER],
                origin.weights(TEXT_ENCODER),
                origin.files[TOKENIZER],
                self.device,
            )
        self.networks[TEXT_ENCODER] = reader.module
        return reader

    @property
    def files(self) -> Mapping[str, Mapping[str, str]]:
        """The tokenizer of a text encoder that learns."""
        reader = self._reader
        return {TOKENIZER: reader.files} if isinstance(reader, LearningReader) else {}

    def verify(self, ctx: Context) -> None:
        """Raise NodeError if the pictures cannot all be read."""
        self.feed.examples.verify(ctx.progress)
        if self._prior is None:
            return
        try:
            self._prior.examples.verify(ctx.progress)
        except NodeError as error:
            error.where = ".prior"
            raise

    # --- learning

    def loss(self, number: int, ctx: Context) -> Tensor:
        """The loss of a batch, with the graph that gradients flow back through; of the prior's as well, by weight."""
        value = self._loss_of(self.feed, number, number, ctx)
        if self._prior is None:
            return value
        prior = self._loss_of(self._prior, number, _PRIOR + number, ctx)
        return value + self.recipe.prior_weight * prior

    def _loss_of(self, feed: Feed, number: int, address: int, ctx: Context) -> Tensor:
        """The loss of batch ``number`` of a feed, with the draws of an address."""
        recipe = self.recipe
        positions = range(number * recipe.batch, (number + 1) * recipe.batch)
        seen = feed.seen(positions, ctx)
        x = seen[SIGNAL]
        draws = noise.generator(recipe.seed, address)
        index = objective.timesteps(recipe.batch, self.process.steps, draws)
        drawn = objective.gaussian(x.shape, draws, self.device)
        told = self._told(feed, seen, feed.indices(positions), positions, address, ctx)
        x_t = self.process.noised(x, drawn, index)
        prediction = self.predict(x_t, self.process.timestep(index), told, self._learning)
        wanted = self.process.wanted(x, drawn, index)
        weights = self.process.weights(index, recipe.min_snr)
        return objective.loss(prediction, wanted, weights, recipe.loss)

    def predict(
        self,
        x: Tensor,
        timestep: Tensor,
        told: Told,
        network: Callable[..., Any] | None = None,
    ) -> Tensor:
        """What the network (or another form of it) predicts of a noisy signal, float32 or bfloat16 [B, C, h, w]."""
        with self.mixed():
            called = self.network if network is None else network
            output = called(x, timestep.to(self.device), **told, return_dict=False)
        return cast("Tensor", output[0])

    def _told(
        self,
        feed: Feed,
        seen: Seen | None,
        indices: Sequence[int],
        positions: Sequence[int | None],
        number: int | None,
        ctx: Context,
    ) -> dict[str, Any]:
        """What the network is told of some pictures; a share of it is left out where ``number`` gives the chance.

        ``seen``: the pictures, where they were looked at.
        """
        count = len(indices)
        kept = [True] * count
        if number is not None and self.recipe.caption_dropout:
            draws = noise.generator(self.recipe.seed, _DROPOUT - number)
            kept = (torch.rand(count, generator=draws) >= self.recipe.caption_dropout).tolist()
        examples = feed.examples
        told: dict[str, Any] = {}
        if self.plan.label_count:
            is_told = torch.tensor(kept, device=self.device)
            none = self.plan.label_count - 1
            told["class_labels"] = torch.where(is_told, feed.labels(indices), none)
        if self._reader is None:
            return told
        captions = [
            self._caption(examples, i, at) if is_kept else ""
            for i, at, is_kept in zip(indices, positions, kept, strict=True)
        ]
        return told | self._read(captions, ctx)

    def _read(self, captions: Sequence[str], ctx: Context) -> dict[str, Any]:
        """Captions as the network is told of them; their pictures are whole, and as large as the data set's."""
        plan = self.plan
        assert self._reader is not None, "captions are told where there is somebody to read them"
        with self.mixed():
            hidden, pooled = self._reader.read(captions, ctx)
        if pooled is None:
            return {"encoder_hidden_states": hidden}
        assert plan.text_encoder is not None, "models of the XL family bring their encoders"
        side, family = plan.dataset.size, plan.text_encoder.family
        sizes = time_ids(side, side, family, len(captions)).to(self.device)
        added = {"text_embeds": pooled, "time_ids": sizes}
        return {"encoder_hidden_states": hidden, "added_cond_kwargs": added}

    def _caption(self, examples: Examples, index: int, position: int | None) -> str:
        """What is read of a picture."""
        return examples.caption(index, position)

    # --- looking

    def paint(self, ctx: Context) -> Tensor:
        """Pictures that the network paints by now, from the same noise every time: uint8 [n, 3, H, W]."""
        recipe, plan = self.recipe, self.plan
        side = plan.latent_size
        drawn = torch.randn(
            (recipe.samples, plan.channels, side, side),
            generator=noise.generator(recipe.seed, SAMPLES),
        ).to(self.device)
        indices = [number % len(self.feed) for number in range(recipe.samples)]
        told = self._told(self.feed, None, indices, [None] * len(indices), None, ctx)
        untold = self._untold(recipe.samples, ctx) if recipe.guidance != 1.0 else {}

        def predict(x: Tensor, timestep: Tensor) -> Tensor:
            ctx.check()
            prediction = self.predict(x, timestep, told)
            if not untold:
                return prediction
            without = self.predict(x, timestep, {**told, **untold})
            return without + recipe.guidance * (prediction - without)

        found = objective.sampled(
            self.process, predict, drawn, recipe.sample_steps, is_bounded=plan.vae is None
        ).cpu()
        return decoded(plan.vae, found, ctx)

    def _untold(self, count: int, ctx: Context) -> dict[str, Any]:
        """What guidance leads away from; nothing where the network reads neither text nor labels."""
        untold: dict[str, Any] = {}
        if self.plan.label_count:
            none = self.plan.label_count - 1
            untold["class_labels"] = torch.full((count,), none, device=self.device)
        if self._reader is None:
            return untold
        return untold | self._read([""] * count, ctx)

    def validate(self, ctx: Context) -> dict[str, float]:
        """The squared error on pictures that are not learned from, in all and by quarter of the timesteps."""
        feed = self._validation
        if feed is None:
            return {}
        count = min(VALIDATED, len(feed))
        draws = noise.generator(self.recipe.seed, VALIDATION)
        sums, items = [0.0] * _BANDS, [0] * _BANDS
        for first in range(0, count, self.recipe.batch):
            ctx.check()
            indices = list(range(first, min(first + self.recipe.batch, count)))
            seen = feed.known(indices, ctx)
            x = seen[SIGNAL]
            index = objective.timesteps(len(indices), self.process.steps, draws)
            drawn = torch.randn(x.shape, generator=draws).to(self.device)
            told = self._told(feed, seen, indices, [None] * len(indices), None, ctx)
            x_t = self.process.noised(x, drawn, index)
            prediction = self.predict(x_t, self.process.timestep(index), told).float()
            errors = (prediction - self.process.wanted(x, drawn, index)) ** 2
            for place, error in zip(index.tolist(), errors.mean((1, 2, 3)).tolist(), strict=True):
                band = place * _BANDS // self.process.steps
                sums[band] += error
                items[band] += 1
        means = [total / max(number, 1) for total, number in zip(sums, items, strict=True)]
        named = {f"validation_{band + 1}": mean for band, mean in enumerate(means)}
        return {"validation": sum(sums) / count, **named}

    # --- the result

    def result(self, weights: Weights) -> Result:
        """The network with its scheduler and, if it learned, its text encoder; or a LoRA."""
        adapters = self.plan.adapters
        if adapters is not None:
            return Result({LORA: file_tensors(weights, adapters.alpha)}, {})
        files = {}
        if isinstance(self._reader, LearningReader):
            files = {TOKENIZER: self._reader.tokenizer_files()}
        configs = {**self.configs, "scheduler": self.plan.scheduler}
        return Result(by_component(weights), configs, files)
