"""The core nodes: what artists see. Every node type stands here by name."""

from nodes.classifier import classifier_guidance
from nodes.controlnet import control, image_edges
from nodes.denoise import Denoise
from nodes.film import DenoisingFilm
from nodes.guidance import guidance_curve, guidance_interval
from nodes.image import (
    image_blend,
    image_composite,
    image_crop,
    image_pad,
    image_resize,
    load_image,
)
from nodes.labels import class_label
from nodes.latent import (
    empty_latents,
    forward_diffusion,
    latent_batch,
    latent_blend,
    latent_composite,
    latent_crop,
    latent_pick,
    latent_upscale,
)
from nodes.likelihood import bits_per_dimension
from nodes.lora import load_lora, load_lora_unet
from nodes.mask import (
    combine_masks,
    feather_mask,
    grow_mask,
    inpaint_mask,
    invert_mask,
    join_masks,
    load_mask,
    mask_from_color,
    mask_switch,
    mask_window,
)
from nodes.model import (
    load_classifier,
    load_controlnet,
    load_embedding,
    load_model,
    load_text_encoder,
    load_unet,
    load_vae,
    save_model,
)
from nodes.noise import noise_source, noise_variation
from nodes.output import image_grid, preview, save_animation, save_image
from nodes.schedule import (
    beta_schedule,
    custom_sigmas,
    exponential_sigmas,
    karras_sigmas,
    scheduler,
)
from nodes.text import prompt_mix, prompt_schedule, prompt_window, text_encoder
from nodes.training import TrainDiffusion
from nodes.training_classifier import TrainClassifier
from nodes.training_control import TrainControlNet
from nodes.training_data import dataset_pictures, picture_folder, scene_painter
from nodes.training_embedding import TrainEmbedding
from nodes.training_inpainting import TrainInpainting
from nodes.training_lora import TrainLora
from nodes.training_networks import new_text_encoder, new_unet
from nodes.training_upscaling import TrainUpscaler
from nodes.training_vae import TrainVae, new_vae
from nodes.upscaling import low_resolution
from nodes.vae import latents_to_pixels, vae_decode, vae_encode
from nodes.value import (
    arithmetic,
    boolean,
    choose_number,
    choose_text,
    format_text,
    integer,
    join_text,
    number,
    seed,
    text_value,
)

__all__ = [
    "Denoise",
    "DenoisingFilm",
    "TrainClassifier",
    "TrainControlNet",
    "TrainDiffusion",
    "TrainEmbedding",
    "TrainInpainting",
    "TrainLora",
    "TrainUpscaler",
    "TrainVae",
    "arithmetic",
    "beta_schedule",
    "bits_per_dimension",
    "boolean",
    "choose_number",
    "choose_text",
    "class_label",
    "classifier_guidance",
    "combine_masks",
    "control",
    "custom_sigmas",
    "dataset_pictures",
    "empty_latents",
    "exponential_sigmas",
    "feather_mask",
    "format_text",
    "forward_diffusion",
    "grow_mask",
    "guidance_curve",
    "guidance_interval",
    "image_blend",
    "image_composite",
    "image_crop",
    "image_edges",
    "image_grid",
    "image_pad",
    "image_resize",
    "inpaint_mask",
    "integer",
    "invert_mask",
    "join_masks",
    "join_text",
    "karras_sigmas",
    "latent_batch",
    "latent_blend",
    "latent_composite",
    "latent_crop",
    "latent_pick",
    "latent_upscale",
    "latents_to_pixels",
    "load_classifier",
    "load_controlnet",
    "load_embedding",
    "load_image",
    "load_lora",
    "load_lora_unet",
    "load_mask",
    "load_model",
    "load_text_encoder",
    "load_unet",
    "load_vae",
    "low_resolution",
    "mask_from_color",
    "mask_switch",
    "mask_window",
    "new_text_encoder",
    "new_unet",
    "new_vae",
    "noise_source",
    "noise_variation",
    "number",
    "picture_folder",
    "preview",
    "prompt_mix",
    "prompt_schedule",
    "prompt_window",
    "save_animation",
    "save_image",
    "save_model",
    "scene_painter",
    "scheduler",
    "seed",
    "text_encoder",
    "text_value",
    "vae_decode",
    "vae_encode",
]
