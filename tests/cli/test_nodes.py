"""``studio nodes``: a list that can be scanned, help that says it all, JSON for programs."""

from __future__ import annotations

import json

import pytest

from studio.cli import main
from studio.registry import load

Captured = pytest.CaptureFixture[str]


def test_the_list_has_every_type_under_its_category(capsys: Captured) -> None:
    assert main(["nodes"]) == 0
    listed: dict[str, str] = {}
    category = ""
    for text in capsys.readouterr().out.splitlines():
        if text and not text.startswith(" "):
            category = text
        elif text:
            listed[text.split()[0]] = category
    assert listed == {known.id: known.category for known in load().types.values()}


def test_the_list_is_aligned(capsys: Captured) -> None:
    main(["nodes"])
    lines = [text for text in capsys.readouterr().out.splitlines() if text.startswith("  ")]
    width = 4 + max(map(len, load().types))
    assert all(text[width - 1] == " " and text[width] != " " for text in lines)


def test_one_category_can_be_listed(capsys: Captured) -> None:
    assert main(["nodes", "vae"]) == 0
    names = [text.split()[0] for text in capsys.readouterr().out.splitlines()]
    assert names == ["vae", "latents_to_pixels", "vae_decode", "vae_encode"]


def test_one_type_is_shown_with_ports_ranges_units_defaults_and_help(capsys: Captured) -> None:
    assert main(["nodes", "noise_source"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("noise_source (version 1; noise; also called seed)\n\nGaussian noise")
    (width,) = [text for text in out.splitlines() if text.startswith("  width ")]
    assert "whole number, 16 … 8192 px, in steps of 8" in width
    assert "= 128" in width
    assert "Width of the picture" in width
    assert "\noutputs\n  latents  Noise" in out


def test_help_in_tables_is_not_repeated_above_them(capsys: Captured) -> None:
    main(["nodes", "noise_source"])
    assert capsys.readouterr().out.count("Height of the picture") == 1


def test_no_line_is_wider_than_the_terminal(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    for columns in ("100", "70"):
        monkeypatch.setenv("COLUMNS", columns)
        for name in ("scheduler", "denoise", "inpaint_mask"):
            main(["nodes", name])
            assert max(map(len, capsys.readouterr().out.splitlines())) <= int(columns)


def test_a_type_is_found_by_what_it_is_called_elsewhere(capsys: Captured) -> None:
    assert main(["nodes", "ksampler"]) == 0
    assert capsys.readouterr().out.startswith("denoise (")


def test_an_unknown_name_gets_the_nearest(capsys: Captured) -> None:
    assert main(["nodes", "denois"]) == 2
    assert capsys.readouterr().err == (
        'studio: there is no node type "denois"; did you mean "denoise"?\n'
    )


def test_json_describes_every_type(capsys: Captured) -> None:
    assert main(["nodes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["nodes"].keys() == load().types.keys()


def test_json_of_one_type_has_hints_by_kind(capsys: Captured) -> None:
    assert main(["nodes", "noise_source", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    params = {param["name"]: param for param in document["params"]}
    assert params["seed"]["hint"]["high"] == 2**64 - 1
    assert params["width"]["hint"] == {
        "kind": "range",
        "admits": "16 … 8192 px",
        "low": 16,
        "high": 8192,
        "step": 8,
        "unit": "px",
    }
    assert params["scheme"]["hint"]["kind"] == "choice"
    assert "addressed" in params["scheme"]["hint"]["values"]
    assert (document["kind"], document["outputs"][0]["type"]) == ("describe", "Noise")
