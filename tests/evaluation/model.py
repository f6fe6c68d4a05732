"""The model at work: diffusers' own pipeline, to which the studio's loop is held bit for bit by the parity tests."""

from __future__ import annotations

import json
import statistics
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from studio.errors import ModelError
from studio.models.loading import go_offline
from studio.resources import resource
from tests.evaluation.scenes import Address, Pictures

_BATCHES = {"cpu": 8, "cuda": 128}


@dataclass(frozen=True)
class Way:
    """How pictures are sampled."""

    steps: int
    guidance: float

    @classmethod
    def shipped(cls) -> Way:
        """As the workflow does that ships with the program."""
        file = resource().parent / "workflows" / "text-to-image.json"
        nodes = json.loads(file.read_text("utf-8"))["nodes"]
        return cls(nodes["scheduler"]["params"]["steps"], nodes["denoise"]["params"]["guidance"])


def folder_of(name: str) -> Path:
    """Where a model lies: ``name`` is its folder, or its name in the library.

    Raises ModelError if there is none such, or if it is no folder in diffusers' layout.
    """
    path = Path(name)
    if not path.is_dir():
        from studio.facts import Facts
        from studio.models.library import Library
        from studio.session import Settings

        path = Library(Settings().model_folders, Facts(None)).find(name).path
    if not (path / "model_index.json").is_file():
        raise ModelError(
            "is no folder in diffusers' layout",
            where=str(path),
            remedy="name one with model_index.json",
        )
    return path


def file_sizes(folder: Path) -> dict[str, int]:
    """Bytes of every file of a model."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


class Painter:
    """A text-to-image model, in float32 on one device."""

    def __init__(self, folder: Path, device: str, way: Way) -> None:
        go_offline()
        import diffusers
        import transformers

        diffusers.utils.logging.set_verbosity_error()
        diffusers.utils.logging.disable_progress_bar()
        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pipe = diffusers.StableDiffusionPipeline.from_pretrained(
                folder, torch_dtype=torch.float32, local_files_only=True
            )
        pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config)
        self._pipe: Any = pipe.to(device)
        self._pipe.set_progress_bar_config(disable=True)
        self._device = torch.device(device)
        self._way = way
        self.size: int = self._pipe.unet.config.sample_size * self._pipe.vae_scale_factor

    def cut(self, wanted: Sequence[Address]) -> int:
        """How many prompts are longer than what the text encoder reads: their ends are not heard."""
        tokens = self._pipe.tokenizer([one.prompt for one in wanted]).input_ids
        return sum(len(ids) > self._pipe.tokenizer.model_max_length for ids in tokens)

    def paint(self, wanted: Sequence[Address]) -> Pictures:
        """What the model makes of the scenes' prompts; the noise of each follows from its address."""
        batch = _BATCHES[self._device.type]
        parts = [self._paint(wanted[at : at + batch]) for at in range(0, len(wanted), batch)]
        return np.concatenate(parts)

    def _paint(self, wanted: Sequence[Address]) -> Pictures:
        # drawn on the CPU, so that every device begins with the same noise
        draws = [torch.Generator().manual_seed(one.seed * 1_000_003 + one.index) for one in wanted]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = self._pipe(
                [one.prompt for one in wanted],
                num_inference_steps=self._way.steps,
                guidance_scale=self._way.guidance,
                generator=draws,
                output_type="pt",
            ).images
        return _bytes(made)

    @torch.inference_mode()
    def restore(self, pictures: Pictures) -> Pictures:
        """Pictures through the VAE and back: the mean of the encoder's distribution, decoded."""
        vae = self._pipe.vae
        parts = []
        for at in range(0, len(pictures), 32):
            x = torch.from_numpy(pictures[at : at + 32]).to(self._device).permute(0, 3, 1, 2)
            latents = vae.encode(x.float() / 127.5 - 1).latent_dist.mode()
            parts.append(_bytes(vae.decode(latents).sample / 2 + 0.5))
        return np.concatenate(parts)

    def seconds(self, one: Address, rounds: int = 3) -> tuple[float, float]:
        """What one picture takes from its prompt, by the clock and in seconds of a core.

        Medians of several, after one that does not count. A busy machine stretches the first and hardly the second.
        """
        self._paint([one])
        taken = []
        for _ in range(rounds):
            began = (time.perf_counter(), time.process_time())
            self._paint([one])
            taken.append((time.perf_counter() - began[0], time.process_time() - began[1]))
        by_clock, of_cores = zip(*taken, strict=True)
        return statistics.median(by_clock), statistics.median(of_cores)


def _bytes(pictures: torch.Tensor) -> Pictures:
    """Float [B, 3, H, W] in [0, 1] to uint8 [B, H, W, 3]."""
    found = pictures.clamp(0, 1).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1)
    return found.contiguous().cpu().numpy()
