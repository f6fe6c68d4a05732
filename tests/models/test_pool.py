from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from studio.errors import ModelError
from studio.models.library import Library
from studio.models.pool import Pool
from studio.resources import resource
from studio.values import Described, ModelRef
from tests.starter import LENGTH, VOCABULARY, size

# parameters of the starter's parts times 4 bytes: 6.6 M, 2.6 M and 0.6 M
UNET = size("unet", "diffusion_pytorch_model.safetensors")
VAE = size("vae", "diffusion_pytorch_model.safetensors")
TEXT = size("text_encoder", "model.safetensors")


@pytest.fixture
def described(library: Library) -> Described:
    return library.describe("starter")


def refs(described: Described) -> tuple[ModelRef, ModelRef, ModelRef]:
    assert described.model is not None
    assert described.vae is not None
    assert described.text_encoder is not None
    return described.model.ref, described.vae.ref, described.text_encoder.refs[0]


def pool(library: Library, budget_bytes: int) -> Pool:
    return Pool(library, device="cpu", dtype="float32", budget_bytes=budget_bytes)


def names(filled: Pool) -> list[str]:
    return [loaded.component for loaded in filled.loaded()]


def test_a_model_is_loaded_once(library: Library, described: Described) -> None:
    unet, *_ = refs(described)
    filled = pool(library, 10**9)
    assert filled.get(unet) is filled.get(unet)
    assert [loaded.size for loaded in filled.loaded()] == [UNET]


def test_the_same_weights_under_two_names_are_loaded_once(
    library: Library, described: Described
) -> None:
    shutil.copytree(resource("starter"), library.folders[0] / "copy")
    filled = pool(library, 10**9)
    other = library.describe("copy")
    assert filled.get(refs(described)[0]) is filled.get(refs(other)[0])


def test_the_least_recently_used_goes_first(library: Library, described: Described) -> None:
    unet, vae, text = refs(described)
    filled = pool(library, max(UNET + VAE, UNET + TEXT))
    filled.get(unet)
    filled.get(vae)
    filled.get(unet)
    filled.text(text)
    assert names(filled) == ["unet", "text_encoder"]


def test_the_budget_is_kept_before_loading(library: Library, described: Described) -> None:
    unet, vae, _ = refs(described)
    filled = pool(library, UNET + VAE - 1)
    filled.get(unet)
    filled.get(vae)
    assert names(filled) == ["vae"]


def test_a_model_in_use_is_never_evicted(library: Library, described: Described) -> None:
    unet, vae, _ = refs(described)
    filled = pool(library, 1)
    with filled.use(unet) as module:
        filled.get(vae)
        filled.clear()
        assert names(filled) == ["unet"]
        assert filled.get(unet) is module
        assert filled.loaded()[0].users == 1
    filled.clear()
    assert filled.loaded() == ()


def test_a_model_is_released_when_its_user_fails(library: Library, described: Described) -> None:
    unet, *_ = refs(described)
    filled = pool(library, 10**9)
    with pytest.raises(RuntimeError, match="broke"), filled.use(unet):
        raise RuntimeError("broke")
    assert filled.loaded()[0].users == 0


def test_a_text_encoder_comes_with_its_tokenizer(library: Library, described: Described) -> None:
    text = pool(library, 10**9).text(refs(described)[2])
    # a word of the starter's vocabulary
    assert text.tokenizer.encode("red", add_special_tokens=False) == [VOCABULARY["red</w>"]]
    assert (text.length, text.has_projection) == (LENGTH, False)


def test_a_model_comes_in_the_dtype_of_the_pool(library: Library, described: Described) -> None:
    filled = Pool(library, device="cpu", dtype="bfloat16", budget_bytes=10**9)
    module = filled.get(refs(described)[0])
    assert {weight.dtype for weight in module.parameters()} == {torch.bfloat16}
    assert filled.loaded()[0].size == UNET // 2


def test_a_model_that_changed_since_planning_is_not_loaded(library: Library) -> None:
    folder = Path(shutil.copytree(resource("starter"), library.folders[0] / "mine"))
    unet, *_ = refs(library.describe("mine"))
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="another version"):
        pool(library, 10**9).get(unet)
