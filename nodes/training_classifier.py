"""Training of a classifier that sees through noise, for classifier guidance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple, cast

from nodes.training_frame import (
    MOST_STEPS,
    Taught,
    betas_of,
    chain_of,
    check_vae,
    refuse_size,
)
from nodes.training_networks import refuse_widths
from studio.errors import GraphError
from studio.graph import Json, Key, Ref, Value
from studio.registry import Chain, Choice, Context, Numbers, Planning, Range, Seed, node
from studio.training.recipe import (
    CLASSIFIER,
    CLASSIFIERS_CLASS,
    OPTIMIZERS,
    PRECISIONS,
    Plan,
    Rates,
    Recipe,
    target_of,
)
from studio.values import (
    Classifier,
    Dataset,
    Image,
    Model,
    ModelRef,
    Network,
    State,
    Trained,
    Vae,
)


class ClassifierTraining(NamedTuple):
    """What the training of a classifier gives."""

    classifier: Classifier
    trained: Trained
    samples: Image


@node(
    "train_classifier",
    version=1,
    category="training",
    aliases=("classifier", "noisy_classifier", "class_guidance"),
)
class TrainClassifier(Taught):
    """Teach a classifier to tell what a picture shows through its noise (Dhariwal & Nichol 2021, section 4).

    It is the down half of a U-Net with a head, told the timestep, taught by cross-entropy on pictures noised as those
    of the model were. By classifier_guidance it then leads that model, or any other of the same latents and noise, to a
    label.

      dataset: What to learn from; its classes are the labels.
      model: The model that will be guided: pictures are noised as its own were.
      vae: The model's, where it works on latents.
      validation: Pictures that are not learned, to measure by: accuracy in all, and in each quarter of the run.
      channels: Width of each level, the picture's own size first, each further one half as large.
      layers: Residual blocks a level.
      attention: How many of the smallest levels look at the picture as a whole.
      head_width: Channels of an attention head.
      groups: Of the group norms; every width is a multiple of it.
      steps: How many steps to take in all.
      batch: Pictures a batch.
      accumulate: Batches a step: a larger batch in the same memory.
      learning_rate: Of the plateau.
      warmup: Steps over which the rate rises.
      decay: Share of the steps over which the rate falls at the end, along half a cosine.
      optimizer: Muon for matrices and AdamW for the rest, which learns much faster here; or AdamW for all.
      weight_decay: Pull of the weights towards 0, against learning few pictures by heart.
      clip: Largest norm of the gradients; 0 is no limit.
      ema: Decay of the average of the weights, which is what comes out; 0 keeps none.
      precision: bfloat16 halves the memory and is faster; where the hardware cannot, it is float32, as weights are.
      compiled: Translate the network for the graphics card first: a minute at the start, faster from then on.
      checkpoint_every: Steps between two states that are stored.
      sample_every: Steps between two looks at what it sees by now; 0 looks at the end alone.
      samples: Pictures a look, in rising noise, framed from red to green by how likely their label is to it.
      validate_every: Steps between two measurements on the validation set; 0 measures at the end alone.
      seed: Of first weights, order, noise and all other chances.
      classifier: The classifier, to guide by within the same graph.
      trained: The weights and how they came about, for save_model.
      samples: What it saw on the way, a sheet each.
    """

    def chain(
        self,
        dataset: Dataset,
        model: Model,
        vae: Vae | None,
        validation: Dataset | None,
        ctx: Planning,
        channels: Annotated[list[int], Numbers()] = [48, 96, 160],  # noqa: B006 - a declared default, never changed
        layers: Annotated[int, Range(1, 6)] = 2,
        attention: Annotated[int, Range(0, 6, unit="levels")] = 1,
        head_width: Annotated[int, Range(4, 256, 4)] = 32,
        groups: Annotated[int, Range(1, 64)] = 8,
        steps: Annotated[int, Range(1, MOST_STEPS, unit="steps")] = 2000,
        batch: Annotated[int, Range(1, 4096, unit="pictures")] = 64,
        accumulate: Annotated[int, Range(1, 1024, unit="batches")] = 1,
        learning_rate: Annotated[float, Range(0, 1)] = 0.004,
        warmup: Annotated[int, Range(0, MOST_STEPS, unit="steps")] = 100,
        decay: Annotated[float, Range(0, 1, 0.05)] = 0.5,
        optimizer: Annotated[str, Choice(*OPTIMIZERS)] = "muon",
        weight_decay: Annotated[float, Range(0, 10)] = 0.05,
        clip: Annotated[float, Range(0, 1000)] = 1.0,
        ema: Annotated[float, Range(0, 1)] = 0.995,
        precision: Annotated[str, Choice(*PRECISIONS)] = "float32",
        compiled: bool = False,
        checkpoint_every: Annotated[int, Range(1, 100_000, unit="steps")] = 100,
        sample_every: Annotated[int, Range(0, 1_000_000, unit="steps")] = 0,
        samples: Annotated[int, Range(1, 64, unit="pictures")] = 16,
        validate_every: Annotated[int, Range(0, 1_000_000, unit="steps")] = 0,
        seed: Annotated[int, Seed()] = 0,
    ) -> list[Chain]:
        """One chain: a spec for every block of steps between two checkpoints."""
        recipe = Recipe(
            seed=seed,
            batch=batch,
            accumulate=accumulate,
            target=target_of(model.scheduler),
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
        widths = refuse_widths(channels, groups, attention, head_width)
        check_vae(model.latent_channels, model.downscale, vae)
        _check_classes(dataset, "dataset")
        if validation is not None and (
            validation.classes != dataset.classes or validation.size != dataset.size
        ):
            raise GraphError(
                "",
                "validation",
                "has other classes or another size than the data set",
                remedy="give both the same",
            )
        refuse_size(dataset, vae, len(widths))
        config: dict[str, Json] = {
            "in_channels": model.latent_channels,
            "block_out_channels": list(widths),
            "layers_per_block": layers,
            "attention_levels": attention,
            "attention_head_dim": head_width,
            "norm_num_groups": groups,
            "classes": list(dataset.classes),
            "latents": model.latents,
            "downscale": model.downscale,
        }
        plan = Plan(
            recipe=recipe,
            dataset=dataset,
            network=Network(CLASSIFIERS_CLASS, config),
            scheduler=model.scheduler,
            betas=betas_of(model.scheduler),
            channels=model.latent_channels,
            latent_size=dataset.size // model.downscale,
            vae=vae,
            validation=validation,
        )
        rates = Rates(learning_rate, warmup, decay)
        cost = f"classifier {widths} {layers} {dataset.size} {batch} {precision}"
        return [chain_of(plan, steps, checkpoint_every, rates, {}, cost)]

    def announce(self, key: Key, arguments: Mapping[str, object]) -> Mapping[str, Value]:
        """The classifier that the training gives, as classifier_guidance takes it."""
        model = cast("Model", arguments["model"])
        dataset = cast("Dataset", arguments["dataset"])
        classifier = Classifier(
            ref=ModelRef("trained", CLASSIFIER, key, result=Ref(key, "trained")),
            latents=model.latents,
            in_channels=model.latent_channels,
            downscale=model.downscale,
            classes=dataset.classes,
            scheduler=model.scheduler,
        )
        return {"classifier": classifier}

    def finish(self, states: Sequence[State], ctx: Context) -> ClassifierTraining:
        """The averaged weights, and the looks on the way."""
        from studio.training import loop

        trained, samples = loop.finish(states, ctx)
        # the classifier was announced before
        return ClassifierTraining(cast("Classifier", None), trained, samples)


def _check_classes(dataset: Dataset, port: str) -> None:
    if len(dataset.classes) < 2:
        raise GraphError(
            "",
            port,
            "has no classes to tell apart",
            remedy="set classes in picture_folder and sort the pictures into folders, or take scene_painter",
        )
