"""``studio models``, ``cache`` and ``doctor``; and that none of the quick commands loads torch."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from studio import numerics
from studio.cli import main
from studio.errors import PackError
from studio.models.parts import bundled
from studio.registry import Registry, load
from studio.resources import resource
from tests.cli.workflows import SCENE, write

Captured = pytest.CaptureFixture[str]

VAE = resource("starter", "vae", "diffusion_pytorch_model.safetensors")


def test_quick_commands_never_import_torch() -> None:
    write(Path("w.json"), SCENE)
    code = (
        "import sys\n"
        "from studio.cli import main\n"
        "for words in sys.argv[1:]:\n"
        "    assert main(words.split()) == 0, words\n"
        "    loaded = {'torch', 'diffusers', 'transformers', 'PySide6'} & sys.modules.keys()\n"
        "    assert not loaded, (words, loaded)\n"
    )
    commands = [
        "--help", "nodes", "nodes denoise", "nodes --json", "check w.json", "plan w.json", "diff w.json w.json",
        "migrate w.json", "models list", "models show starter", "models check", "cache stats", "cache prune",
        "cache clear", "doctor",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code, *commands], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.splitlines()[-1:]) == (0, done.stderr.splitlines()[-1:])
    assert "Error" not in done.stderr


# --- models


def test_the_bundled_model_is_listed(capsys: Captured) -> None:
    assert main(["models", "list"]) == 0
    first, *companions = capsys.readouterr().out.splitlines()
    assert re.match(r"starter +a whole model +bundled +F16  ", first)
    assert all(re.match(r"starter-\w+ .* bundled ", line) for line in companions)


def test_a_model_is_shown_with_the_digests_of_its_parts(capsys: Captured) -> None:
    assert main(["models", "show", "starter", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["digests"].keys() == {"unet", "vae", "text_encoder"}
    assert all(len(digest) == 64 for digest in document["digests"].values())
    assert (document["problems"], document["missing"]) == ([], {})


def test_an_unknown_model_gets_the_nearest_name(capsys: Captured) -> None:
    assert main(["models", "show", "startre"]) == 2
    assert 'did you mean "starter"?' in capsys.readouterr().err


def test_a_model_is_added_by_name_and_listed(capsys: Captured) -> None:
    assert main(["models", "add", str(resource("starter")), "--name", "mine", "--link"]) == 0
    assert capsys.readouterr().out == "mine\n"
    assert main(["models", "list", "--json"]) == 0
    models = json.loads(capsys.readouterr().out)["models"]
    names = [model["name"] for model in models]
    assert (names[0], names[-1]) == ("starter", "mine")
    assert all(name.startswith("starter-") for name in names[1:-1])


def test_a_model_that_is_not_there_cannot_be_added(capsys: Captured) -> None:
    assert main(["models", "add", "nowhere.safetensors"]) == 2
    assert "there is no such file" in capsys.readouterr().err


def test_a_pickle_is_not_added(capsys: Captured) -> None:
    Path("evil.ckpt").write_bytes(b"\x80\x02.")
    assert main(["models", "add", "evil.ckpt"]) == 1
    assert "safetensors" in capsys.readouterr().err
    assert not Path("models").exists()


def test_a_damaged_model_is_found_listed_and_named(capsys: Captured) -> None:
    Path("models").mkdir()
    Path("models/broken.safetensors").write_bytes(VAE.read_bytes()[:1000])
    assert main(["models", "list"]) == 0
    assert re.search(r"^broken +cannot be used:", capsys.readouterr().out, re.MULTILINE)
    assert main(["models", "check"]) == 1
    assert capsys.readouterr().out.startswith("broken: ")


def test_sound_models_have_no_lines(capsys: Captured) -> None:
    assert main(["models", "check"]) == 0
    assert capsys.readouterr() == ("", f"studio: {len(bundled())} models are sound\n")


# --- cache


def test_an_empty_cache_is_empty(capsys: Captured) -> None:
    assert main(["cache", "stats", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "folder": str(Path.cwd() / "cache"),
        "bytes": 0,
        "facts_bytes": 0,
        "tiers": [],
    }


def _tree(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))


def test_the_cache_is_counted_pruned_and_cleared(
    painted: Path, tmp_path: Path, capsys: Captured
) -> None:
    import shutil

    shutil.copytree(painted.parent.parent / "cache", "cache")
    folder = tmp_path / "cache"
    size = _tree(folder)
    main(["cache", "stats", "--json"])
    found = json.loads(capsys.readouterr().out)
    (tier,) = found["tiers"]
    # prompt, latents, picture and its file; the state before and after each of 3 steps
    assert (found["bytes"], tier["results"], tier["states"]) == (size, 4, 4)
    assert main(["cache", "prune", "--size", str(size - 1)]) == 0
    assert 0 < _tree(folder) < size
    assert main(["cache", "clear"]) == 0
    assert _tree(folder) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("freed ")


def test_stats_for_people_end_with_the_sum(painted: Path, capsys: Captured) -> None:
    assert main(["cache", "stats", "--cache", str(painted.parent.parent / "cache")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("folder: ")
    assert "4 results, 4 states," in lines[1]
    assert lines[-1].startswith("stored: ")


def test_a_cache_that_is_a_file_is_refused(capsys: Captured) -> None:
    Path("file").touch()
    assert main(["cache", "stats", "--cache", "file"]) == 2
    assert "is not a folder" in capsys.readouterr().err


# --- doctor


def findings(capsys: Captured) -> tuple[int, dict[str, dict[str, str]]]:
    code = main(["doctor", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] == (code == 0)
    return code, {finding["name"]: finding for finding in document["findings"]}


def test_a_healthy_machine_is_well(capsys: Captured) -> None:
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "all is well"
    for word in ("versions", "devices", "folders", "store", "content", "bfloat16", "torch "):
        assert word in out


def test_doctor_names_the_chosen_device_and_dtype(capsys: Captured) -> None:
    code, found = findings(capsys)
    assert code == 0
    chosen = numerics.choose()
    assert found["chosen"]["text"] == f"{chosen.device} in {chosen.numerics.dtype}"


def _with_version(monkeypatch: pytest.MonkeyPatch, name: str, version: str) -> None:
    real = numerics.version
    monkeypatch.setattr(
        numerics, "version", lambda package: version if package.lower() == name else real(package)
    )


def test_a_missing_package_is_wrong(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    _with_version(monkeypatch, "diffusers", "none")
    code, found = findings(capsys)
    assert code == 1
    assert found["diffusers"]["status"] == "wrong"
    assert found["diffusers"]["remedy"].startswith('pip install "diffusers')


def test_a_package_out_of_range_is_wrong(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    _with_version(monkeypatch, "transformers", "4.40.0")
    code, found = findings(capsys)
    assert code == 1
    assert found["transformers"]["text"].startswith("4.40.0 is not ")


def test_a_torchvision_for_another_torch_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    _with_version(monkeypatch, "torchvision", "0.15.0")
    real = importlib.metadata.requires
    monkeypatch.setattr(
        importlib.metadata,
        "requires",
        lambda name: ["numpy", "torch==2.0.0"] if name == "torchvision" else real(name),
    )
    code, found = findings(capsys)
    assert code == 1
    assert "was built for torch ==2.0.0" in found["torchvision"]["text"]


def test_a_missing_editor_library_is_only_noted(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    real = numerics.version
    monkeypatch.setattr(
        numerics,
        "version",
        lambda package: "none" if package.lower().startswith("pyside6") else real(package),
    )
    code, found = findings(capsys)
    assert code == 0
    assert [finding["status"] for name, finding in found.items() if "pyside" in name.lower()] == [
        "note"
    ]


def test_a_cache_folder_that_cannot_be_one_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    Path("file").touch()
    monkeypatch.setenv("STUDIO_CACHE", "file")
    code, found = findings(capsys)
    assert code == 1
    assert found["cache"]["status"] == "wrong"


def test_a_damaged_file_of_facts_is_noted(capsys: Captured) -> None:
    Path("cache").mkdir()
    Path("cache/facts.sqlite").write_bytes(b"not a database" * 100)
    code, found = findings(capsys)
    assert code == 0
    assert found["facts"]["status"] == "note"


def test_a_refused_pack_is_wrong(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    refused = Registry(load().types, (PackError("imports torch", where="pack fancy"),))
    monkeypatch.setattr("studio.cli.doctor.load", lambda is_safe: refused)
    code, found = findings(capsys)
    assert code == 1
    assert found["pack fancy"]["text"] == "is refused: imports torch"


def test_missing_core_nodes_are_wrong(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setattr("studio.cli.doctor.load", lambda is_safe: Registry({}))
    code, found = findings(capsys)
    assert code == 1
    assert found["nodes"]["status"] == "wrong"


def test_a_damaged_starter_model_is_wrong(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "starter").mkdir()
    monkeypatch.setattr("studio.models.parts.resource", tmp_path.joinpath)
    code, found = findings(capsys)
    assert code == 1
    assert found["starter"]["status"] == "wrong"


def test_doctor_counts_what_is_wrong(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    _with_version(monkeypatch, "diffusers", "none")
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "WRONG:" in out
    assert out.splitlines()[-1] == "1 thing is wrong"
