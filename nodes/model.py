"""Models by name: checkpoints and their parts, loaded and saved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath
from typing import Annotated, NamedTuple, TypeVar, cast

from studio.errors import GraphError, ModelError
from studio.graph import NodeKind, Ref, Value
from studio.keys import digest as digest_of
from studio.registry import Choice, ModelName, Output, Planning, node
from studio.values import (
    Classifier,
    ControlNet,
    Described,
    Inversion,
    Model,
    ModelFolder,
    TextEncoder,
    Trained,
    Vae,
)

V = TypeVar("V", bound=Value)


class WholeModel(NamedTuple):
    """What a checkpoint consists of."""

    model: Model
    text_encoder: TextEncoder
    vae: Vae


def described(ctx: Planning, name: str, digest: str, *, param: str = "model") -> Described:
    """What the model of the name that ``param`` gives offers.

    Raises ModelError, naming the parameter, if there is none such, or if it is of another content than ``digest``.
    """
    try:
        found = ctx.models.describe(name)
    except ModelError as error:
        wanted = f"; the one that is meant has the digest {digest}" if digest else ""
        error.remedy += wanted
        raise error.located(f".{param}") from error.__cause__
    if digest not in ("", found.digest):
        raise ModelError(
            f'"{name}" has the digest {found.digest}, not {digest}',
            where=".digest",
            remedy="get the file that the workflow was made with, or empty digest to take this one",
        )
    return found


def addition(
    ctx: Planning, name: str, digest: str, kind: type[V], noun: str, *, param: str = "model"
) -> V:
    """What goes with a model and is of ``kind`` , called ``noun`` in messages: a ControlNet, LoRA ….

    Raises ModelError, naming the parameter, if none is named or if it is of another kind; and as ``described`` does.
    """
    remedy = f"name a {noun} as `studio models list` shows it"
    if not name:
        raise ModelError("names none", where=f".{param}", remedy=remedy)
    found = described(ctx, name, digest, param=param)
    for value in (found.controlnet, found.lora, found.inversion, found.classifier):
        if isinstance(value, kind):
            return value
    raise ModelError(f'"{name}" is no {noun}', where=f".{param}", remedy=remedy)


def _part(found: Described, name: str, part: str, value: V | None) -> V:
    if value is None:
        what = found.missing.get(part, f"{name} has none")
        raise ModelError(f"no {part.replace('_', ' ')}: {what}", where=".model")
    return value


@node(
    "load_model",
    version=1,
    category="model",
    kind=NodeKind.DESCRIBE,
    aliases=("checkpoint", "load_checkpoint"),
)
def load_model(
    ctx: Planning, model: Annotated[str, ModelName()] = "starter", digest: str = ""
) -> WholeModel:
    """Load a whole model from the library: denoising network, text encoder and VAE.

    The name is that of a folder in diffusers' layout or of a safetensors file, as `studio models list` shows it.

      model: name in the model library; "starter" ships with the program
    digest: content of the model, as `studio models show` gives it; then no other of that name is taken
    """
    found = described(ctx, model, digest)
    return WholeModel(
        _part(found, model, "model", found.model),
        _part(found, model, "text_encoder", found.text_encoder),
        _part(found, model, "vae", found.vae),
    )


@node("load_unet", version=1, category="model", kind=NodeKind.DESCRIBE)
def load_unet(
    ctx: Planning, model: Annotated[str, ModelName()] = "starter", digest: str = ""
) -> Model:
    """Load only the denoising network of a model, such as one that paints pixels and reads no text.

    model: name in the model library
    digest: content of the model, as `studio models show` gives it; then no other of that name is taken
    """
    found = described(ctx, model, digest)
    return _part(found, model, "model", found.model)


@node("load_text_encoder", version=1, category="model", kind=NodeKind.DESCRIBE)
def load_text_encoder(
    ctx: Planning, model: Annotated[str, ModelName()] = "starter", digest: str = ""
) -> TextEncoder:
    """Load only the text encoder of a model, with its tokenizer.

    model: name in the model library
    digest: content of the model, as `studio models show` gives it; then no other of that name is taken
    """
    found = described(ctx, model, digest)
    return _part(found, model, "text_encoder", found.text_encoder)


@node("load_vae", version=1, category="model", kind=NodeKind.DESCRIBE)
def load_vae(
    ctx: Planning, model: Annotated[str, ModelName()] = "starter", digest: str = ""
) -> Vae:
    """Load only a VAE: of a model, or one that lies alone in the library.

    model: name in the model library
    digest: content of the model, as `studio models show` gives it; then no other of that name is taken
    """
    found = described(ctx, model, digest)
    return _part(found, model, "vae", found.vae)


@node("load_controlnet", version=1, category="model", kind=NodeKind.DESCRIBE)
def load_controlnet(
    ctx: Planning, model: Annotated[str, ModelName()] = "", digest: str = ""
) -> Annotated[ControlNet, Output("controlnet")]:
    """Load a ControlNet; it must have been made for models like the one that it is used with.

    model: name in the model library
    digest: content of the model, as `studio models show` gives it; then no other of that name is taken
    """
    return addition(ctx, model, digest, ControlNet, "ControlNet")


@node("load_classifier", version=1, category="model", kind=NodeKind.DESCRIBE)
def load_classifier(
    ctx: Planning, model: Annotated[str, ModelName()] = "", digest: str = ""
) -> Classifier:
    """Load a classifier of noisy pictures, such as train_classifier makes, to guide a denoising by classifier_guidance.

    model: name in the model library
    digest: content of the model, as `studio models show` gives it; then no other of that name is taken
    """
    return addition(ctx, model, digest, Classifier, "classifier")


@node(
    "load_embedding",
    version=1,
    category="model",
    kind=NodeKind.DESCRIBE,
    aliases=("textual_inversion",),
)
def load_embedding(
    ctx: Planning,
    text_encoder: TextEncoder,
    embedding: Annotated[str, ModelName()] = "",
    word: str = "",
    digest: str = "",
) -> TextEncoder:
    """Teach a text encoder a word whose meaning was learned: a textual inversion (Gal et al. 2022).

    Several are chained. In a prompt the word stands for the learned embeddings, whatever its case.

    text_encoder: What reads the prompt.
    embedding: Name in the model library.
    word: What to write in a prompt; empty for the name of the file.
    digest: Content of the embedding, as `studio models show` gives it; then no other of that name is taken.
    """
    found = addition(ctx, embedding, digest, Inversion, "textual inversion", param="embedding")
    family = text_encoder.family.removesuffix("_inpaint")
    if found.family and family and found.family != family:
        raise ModelError(
            f'"{embedding}" is for {found.family}, the text encoder is of {family}',
            where=".embedding",
            remedy=f"load one that was made for {family}",
        )
    word = word.strip() or PurePath(embedding).name.removesuffix(".safetensors")
    return replace(text_encoder, words=(*text_encoder.words, (word, found.ref)))


@node(
    "save_model",
    version=1,
    category="training",
    kind=NodeKind.DESCRIBE,
    is_output=True,
    aliases=("save_checkpoint", "export_model"),
)
def save_model(
    ctx: Planning,
    trained: Trained,
    vae: Vae | None,
    name: str = "my-model",
    dtype: Annotated[str, Choice("float16", "bfloat16", "float32")] = "float16",
    replace: bool = False,
) -> Annotated[ModelFolder, Output("folder")]:
    """Write a trained model into the model library, as a folder in diffusers' layout that load_unet finds by its name.

    A LoRA becomes a file that load_lora finds. A card (README.md and card.json in the folder, metadata in the file)
    says how the model was trained. A model of that name from another training is in the way: this shows before
    anything runs.

      trained: What a training gives.
      vae: Written beside it, so that the folder is whole.
      name: In the library; folders are written with /.
      dtype: What the weights are stored in; float16 halves the file.
      replace: Overwrite another model of that name.
      folder: The model's folder.
    """
    # while planning, a result is the reference to it
    result = cast("Ref", trained)
    if vae is not None and vae.ref.result is not None:
        raise GraphError(
            "", "vae", "is trained in this graph", remedy="save it by a node of its own"
        )
    key = result.key if vae is None else digest_of([result.key, vae.ref.digest])
    try:
        ctx.models.refuse_new(name, key, is_replacing=replace)
    except ModelError as error:
        raise error.located(".name") from error.__cause__
    return ModelFolder(name, result, key, dtype, replace, vae.ref if vae else None)
