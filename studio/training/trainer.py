"""A training at work: the network, its average, its optimizer and what was measured, step by step.

Every chance is addressed by (seed, step), so that a training restored from a frozen state goes on bit for bit as the
one that was frozen (float32 on a CPU).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import Module, Parameter

from studio.diffusion import noise, text, vae
from studio.errors import NodeError
from studio.graph import Json
from studio.models.loading import load_module, load_trained, trained_network
from studio.registry import Context
from studio.training import objective
from studio.training.adapters import attach, file_tensors
from studio.training.data import Examples
from studio.training.objective import Process
from studio.training.optimizing import Optimizer
from studio.training.recipe import Plan
from studio.values import LORA, Embedding, Network, Trained

# addresses of draws that are no steps
_INITIAL_WEIGHTS = -100
_SAMPLES = -101
_VALIDATION = -102
_DROPOUT = -(2**40)
_BANDS = 4
"""Quarters of the timesteps that validation tells apart."""
_VALIDATED = 64
"""So many pictures of the validation set are looked at."""
_CACHED = 50_000


class Trainer:
    """One training. ``step`` changes it in place; ``frozen`` gives a copy from which ``Trainer`` goes on."""

    def __init__(
        self,
        plan: Plan,
        ctx: Context,
        *,
        base: Trained | None = None,
        frozen: Mapping[str, object] | None = None,
    ) -> None:
        """Begin a training, or take up a frozen one; raises NodeError if the data cannot be read."""
        self.plan = plan
        self.recipe = plan.recipe
        self.done = 0
        self.losses: list[float] = []
        self.validations: list[list[float]] = []
        self.sheets: list[Tensor] = []
        """What was painted on the way, uint8 [n, 3, H, W] each."""
        self._device = torch.device(ctx.pool.device)
        self._process = Process.of(plan.recipe.target, plan.betas)
        self._examples = Examples(plan.dataset, plan.recipe.seed)
        self._latents: dict[tuple[int, int], Tensor] = {}
        self._prompts: dict[str, Embedding] = {}
        if frozen is None:
            self._examples.verify(ctx.progress)
        if frozen is None or plan.adapters is not None:
            self.config, self.network = _begun(plan, ctx, base)
        else:
            self.config = cast("Mapping[str, Json]", frozen["config"])
            component = trained_network(self.config)
            weights = cast("Mapping[str, Tensor]", frozen["weights"])
            self.network = load_trained(component, weights, device=ctx.pool.device, dtype="float32")
        self._learned = self._prepared()
        _plain_attention(self.network, self._device)
        recipe = plan.recipe
        self._optimizer = Optimizer(self._learned.values(), recipe.optimizer, recipe.weight_decay)
        self._average: dict[str, Tensor] = {}
        if frozen is not None:
            self._restore(frozen)
        elif recipe.ema:
            self._average = {name: w.detach().clone() for name, w in self._learned.items()}

    def _prepared(self) -> dict[str, Parameter]:
        """The weights that learn, by name: the network's, or those of adapters."""
        adapters = self.plan.adapters
        if adapters is None:
            self.network.requires_grad_(True).train()
            return dict(self.network.named_parameters())
        return attach(
            self.network, adapters.rank, adapters.alpha, adapters.layers, self.recipe.seed
        )

    # --- state

    def frozen(self) -> dict[str, object]:
        """The whole state as plain data, copied."""
        return {
            "plan": self.plan,
            "done": self.done,
            "config": dict(self.config),
            "weights": {name: _copy(weight) for name, weight in self._learned.items()},
            "average": {name: _copy(weight) for name, weight in self._average.items()},
            "optimizer": self._optimizer.state(),
            "losses": torch.tensor(self.losses, dtype=torch.float64),
            "validations": [list(each) for each in self.validations],
            "sheets": list(self.sheets),
        }

    def _restore(self, frozen: Mapping[str, object]) -> None:
        self.done = cast("int", frozen["done"])
        weights = cast("Mapping[str, Tensor]", frozen["weights"])
        with torch.no_grad():
            for name, weight in self._learned.items():
                weight.copy_(weights[name])
        average = cast("Mapping[str, Tensor]", frozen["average"])
        self._average = {name: w.to(self._device).clone() for name, w in average.items()}
        self._optimizer.restore(cast("list[dict[int, dict[str, Tensor]]]", frozen["optimizer"]))
        self.losses = cast("Tensor", frozen["losses"]).tolist()
        validations = cast("list[list[float]]", frozen["validations"])
        self.validations = [list(each) for each in validations]
        self.sheets = list(cast("list[Tensor]", frozen["sheets"]))

    # --- one step

    def step(self, rate: float, ctx: Context) -> dict[str, float]:
        """Learn from the next batches; returns what was measured. Raises NodeError once the loss is no number."""
        recipe = self.recipe
        total = 0.0
        for part in range(recipe.accumulate):
            ctx.check()
            value = self._loss(self.done * recipe.accumulate + part, ctx) / recipe.accumulate
            value.backward()  # type: ignore[no-untyped-call]  # torch's own
            total += value.item()
        if not math.isfinite(total):
            raise NodeError(
                f"the loss is no number after {self.done} steps",
                where=".learning_rate",
                remedy="lower the learning rate, clip the gradients, or train in float32",
            )
        measured = {"loss": total, "rate": rate}
        if recipe.clip:
            norm = torch.nn.utils.clip_grad_norm_(self._learned.values(), recipe.clip)
            measured["gradient"] = float(norm)
        self._optimizer.step(rate)
        self.done += 1
        self._follow()
        self.losses.append(total)
        return measured

    def _loss(self, number: int, ctx: Context) -> Tensor:
        """The loss of a batch, with the graph that gradients flow back through."""
        recipe = self.recipe
        positions = range(number * recipe.batch, (number + 1) * recipe.batch)
        indices = [self._examples.at(position) for position in positions]
        x = torch.stack(
            [self._signal(i, at, ctx) for i, at in zip(indices, positions, strict=True)]
        )
        draws = noise.generator(recipe.seed, number)
        index = objective.timesteps(recipe.batch, self._process.steps, draws)
        drawn = torch.randn(x.shape, generator=draws)
        x, drawn = x.to(self._device), drawn.to(self._device)
        condition = self._condition(self._examples, indices, positions, number, ctx)
        x_t = self._process.noised(x, drawn, index)
        prediction = self._predict(x_t, self._process.timestep(index), condition)
        wanted = self._process.wanted(x, drawn, index)
        weights = self._process.weights(index, recipe.min_snr)
        return objective.loss(prediction, wanted, weights, recipe.loss)

    def _predict(self, x: Tensor, timestep: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        is_mixed = self.recipe.precision == "bfloat16"
        with torch.autocast(self._device.type, torch.bfloat16, enabled=is_mixed):
            output = cast("Any", self.network)(
                x, timestep.to(self._device), **condition, return_dict=False
            )
        return cast("Tensor", output[0])

    def _follow(self) -> None:
        """Let the average follow the weights, closely at first."""
        if not self.recipe.ema:
            return
        decay = min(self.recipe.ema, (1 + self.done) / (10 + self.done))
        with torch.no_grad():
            for name, weight in self._learned.items():
                self._average[name].lerp_(weight, 1 - decay)

    # --- what is learned from

    def _signal(self, index: int, position: int | None, ctx: Context) -> Tensor:
        """What the network works on, float32 [C, h, w]: pixels, or a VAE's latents of them."""
        picture = self._examples.picture(index, position)
        return self._encoded(picture, (0, index), ctx)

    def _encoded(self, picture: Tensor, address: tuple[int, int], ctx: Context) -> Tensor:
        described = self.plan.vae
        if described is None:
            return picture
        source = self.plan.dataset.pictures
        is_fixed = not (getattr(source, "is_random", False) or getattr(source, "is_flipped", False))
        known = self._latents.get(address) if is_fixed or address[0] else None
        if known is None:
            # one at a time: in a batch the last bits would depend on the neighbours
            with ctx.pool.use(described.ref) as module:
                known = vae.encode(cast("Any", module), picture[None] / 2 + 0.5)[0].clone()
            if len(self._latents) < _CACHED:
                self._latents[address] = known
        return known

    def _condition(
        self,
        examples: Examples,
        indices: Sequence[int],
        positions: Sequence[int | None],
        number: int | None,
        ctx: Context,
    ) -> dict[str, Tensor]:
        """What the network is told of some pictures; a share of it is left out where ``number`` gives the chance."""
        count = len(indices)
        kept = [True] * count
        if number is not None and self.recipe.caption_dropout:
            draws = noise.generator(self.recipe.seed, _DROPOUT - number)
            kept = (torch.rand(count, generator=draws) >= self.recipe.caption_dropout).tolist()
        if self.plan.label_count:
            none = self.plan.label_count - 1
            labels = [
                examples.label(i) if is_kept else none
                for i, is_kept in zip(indices, kept, strict=True)
            ]
            return {"class_labels": torch.tensor(labels, device=self._device)}
        if self.plan.text_encoder is None:
            return {}
        captions = [
            examples.caption(i, at) if is_kept else ""
            for i, at, is_kept in zip(indices, positions, kept, strict=True)
        ]
        return {"encoder_hidden_states": self._read(captions, ctx)}

    def _read(self, captions: Sequence[str], ctx: Context) -> Tensor:
        """Captions as the network reads them, float32 [B, T, D]; each read alone, and once."""
        encoder = self.plan.text_encoder
        assert encoder is not None
        for caption in captions:
            if caption not in self._prompts:
                if len(self._prompts) >= _CACHED:
                    self._prompts.clear()
                self._prompts[caption] = text.encode(ctx.pool, encoder, caption)
        hidden = [self._prompts[caption].hidden for caption in captions]
        length = min(state.shape[1] for state in hidden)
        # a caption longer than one window is cut: it would make the whole batch as long
        cut = [state[:, :length] for state in hidden]
        return torch.cat(cut).clone().to(self._device)

    # --- looking at it

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """The network with its average in place of its weights, for looking at it."""
        weights = {name: weight.data for name, weight in self._learned.items()}
        is_training = self.network.training
        for name, weight in self._learned.items():
            weight.data = self._average.get(name, weight.data)
        self.network.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            for name, weight in self._learned.items():
                weight.data = weights[name]
            self.network.train(is_training)

    def paint(self, ctx: Context) -> Tensor:
        """Pictures that the network paints by now, uint8 [n, 3, H, W]; kept among the sheets."""
        recipe, plan = self.recipe, self.plan
        side = plan.latent_size
        drawn = torch.randn(
            (recipe.samples, plan.channels, side, side),
            generator=noise.generator(recipe.seed, _SAMPLES),
        ).to(self._device)
        indices = [number % len(self._examples) for number in range(recipe.samples)]
        told = self._condition(self._examples, indices, [None] * len(indices), None, ctx)
        untold = self._untold(recipe.samples, ctx) if recipe.guidance != 1.0 and told else {}

        def predict(x: Tensor, timestep: Tensor) -> Tensor:
            ctx.check()
            prediction = self._predict(x, timestep, told)
            if not untold:
                return prediction
            without = self._predict(x, timestep, untold)
            return without + recipe.guidance * (prediction - without)

        with self._averaged():
            found = objective.sampled(
                self._process, predict, drawn, recipe.sample_steps, is_bounded=plan.vae is None
            ).cpu()
        self.sheets.append(self._pixels(found, ctx))
        return self.sheets[-1]

    def _untold(self, count: int, ctx: Context) -> dict[str, Tensor]:
        if self.plan.label_count:
            none = self.plan.label_count - 1
            return {"class_labels": torch.full((count,), none, device=self._device)}
        return {"encoder_hidden_states": self._read([""] * count, ctx)}

    def _pixels(self, signal: Tensor, ctx: Context) -> Tensor:
        described = self.plan.vae
        if described is None:
            pixels = signal / 2 + 0.5
        else:
            with ctx.pool.use(described.ref) as module:
                pixels = torch.cat([vae.decode(cast("Any", module), one[None]) for one in signal])
        return (pixels.clamp(0, 1) * 255).round().to(torch.uint8)

    def validate(self, ctx: Context) -> dict[str, float]:
        """The loss on pictures that are not learned from, by quarter of the timesteps; the same draws every time."""
        dataset = self.plan.validation
        if dataset is None:
            return {}
        examples = Examples(dataset, self.recipe.seed)
        count = min(_VALIDATED, len(examples))
        draws = noise.generator(self.recipe.seed, _VALIDATION)
        sums, items = [0.0] * _BANDS, [0] * _BANDS
        with self._averaged():
            for first in range(0, count, self.recipe.batch):
                ctx.check()
                indices = list(range(first, min(first + self.recipe.batch, count)))
                x = torch.stack(
                    [self._encoded(examples.picture(i), (1, i), ctx) for i in indices]
                ).to(self._device)
                index = objective.timesteps(len(indices), self._process.steps, draws)
                drawn = torch.randn(x.shape, generator=draws).to(self._device)
                told = self._condition(examples, indices, [None] * len(indices), None, ctx)
                x_t = self._process.noised(x, drawn, index)
                prediction = self._predict(x_t, self._process.timestep(index), told).float()
                errors = (prediction - self._process.wanted(x, drawn, index)) ** 2
                for place, error in zip(
                    index.tolist(), errors.mean((1, 2, 3)).tolist(), strict=True
                ):
                    band = place * _BANDS // self._process.steps
                    sums[band] += error
                    items[band] += 1
        means = [total / max(number, 1) for total, number in zip(sums, items, strict=True)]
        self.validations.append([float(self.done), *means])
        named = {f"validation_{band + 1}": mean for band, mean in enumerate(means)}
        return {"validation": sum(sums) / count, **named}

    # --- the result

    def trained(self, card: Mapping[str, Json]) -> Trained:
        """The average of the weights (or the weights, where there is no average) as an ordinary model."""
        learned = {name: _copy(weight) for name, weight in self._learned.items()}
        learned.update({name: _copy(weight) for name, weight in self._average.items()})
        adapters = self.plan.adapters
        configs: dict[str, Mapping[str, Json]]
        if adapters is None:
            weights: dict[str, Mapping[str, Tensor]] = {"unet": learned}
            configs = {"unet": self.config, "scheduler": self.plan.scheduler}
        else:
            weights, configs = {LORA: file_tensors(learned, adapters.alpha)}, {}
        last = self.losses[-50:]
        measured: dict[str, Json] = {"steps": self.done}
        if last:
            measured["loss of the last steps"] = sum(last) / len(last)
        if self.validations:
            measured["validation by quarter of the timesteps"] = [
                round(value, 5) for value in self.validations[-1][1:]
            ]
        return Trained(weights, configs, {**card, "measured": measured})


def _copy(weight: Tensor) -> Tensor:
    return weight.detach().cpu().clone(memory_format=torch.contiguous_format)


def _begun(plan: Plan, ctx: Context, base: Trained | None) -> tuple[Mapping[str, Json], Module]:
    """The config and the network that a training begins with."""
    if isinstance(plan.network, Network):
        config: Mapping[str, Json] = {
            "_class_name": plan.network.class_name,
            **plan.network.config,
        }
        return config, _new(config, plan.recipe.seed).to(ctx.pool.device)
    if base is not None:
        config = base.configs[plan.network.component]
        weights = base.weights[plan.network.component]
        component = trained_network(config)
        return config, load_trained(component, weights, device=ctx.pool.device, dtype="float32")
    component = ctx.pool.library.component(plan.network)
    config = {"_class_name": component.class_name, **component.config}
    return config, load_module(component, device=ctx.pool.device, dtype="float32")


def _new(config: Mapping[str, Json], seed: int) -> Module:
    """A network with random weights, the same on every machine of one torch version."""
    from studio.models.loading import build

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(noise.generator(seed, _INITIAL_WEIGHTS).initial_seed())
        return build(trained_network(config))


def _plain_attention(network: Module, device: torch.device) -> None:
    # measured: the backward pass of the fused attention costs half of a step on a CPU
    if device.type != "cpu":
        return
    from diffusers.models.attention_processor import Attention, AttnProcessor

    for part in network.modules():
        if isinstance(part, Attention):
            part.set_processor(AttnProcessor())
