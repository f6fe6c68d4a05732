from __future__ import annotations

import pytest

from nodes.text import prompt_mix, prompt_schedule, prompt_window
from studio.errors import NodeError
from studio.graph import Key, Ref
from studio.values import Conditioning, Span

DAY, NIGHT = Ref(Key("1"), "conditioning"), Ref(Key("2"), "conditioning")
day, night = Conditioning.of(DAY), Conditioning.of(NIGHT)


def acting(conditioning: Conditioning, steps: int = 10) -> list[list[object]]:
    """What acts in each step."""
    return [
        [span.source for span in conditioning.spans if span.acts(step, steps)]
        for step in range(steps)
    ]


def test_a_schedule_switches_once() -> None:
    assert acting(prompt_schedule(day, night, 0.7)) == [[DAY]] * 7 + [[NIGHT]] * 3


@pytest.mark.parametrize(("at", "only"), [(0.0, NIGHT), (1.0, DAY)])
def test_a_switch_at_either_end_leaves_one_prompt(at: float, only: Ref) -> None:
    assert prompt_schedule(day, night, at).spans == (Span(only),)


def test_schedules_nest() -> None:
    inner = prompt_schedule(day, night, 0.2)
    assert acting(prompt_schedule(inner, day, 0.5)) == [[DAY]] * 2 + [[NIGHT]] * 3 + [[DAY]] * 5


def test_a_window_limits_and_weighs() -> None:
    assert prompt_window(day, 0.2, 0.4, 2.0).spans == (Span(DAY, 0.2, 0.4, 2.0),)


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(NodeError, match=r"the window from 0.5 to 0.5 is empty"):
        prompt_window(day, 0.5, 0.5)


def test_a_mix_has_both_prompts_at_once() -> None:
    assert prompt_mix(day, night, 1.0, 0.5).spans == (Span(DAY), Span(NIGHT, weight=0.5))


def test_a_prompt_of_weight_0_does_not_act() -> None:
    assert acting(prompt_mix(day, night, 1.0, 0.0)) == [[DAY]] * 10


def test_a_mix_of_nothing_is_refused() -> None:
    with pytest.raises(NodeError, match="both weights are 0"):
        prompt_mix(day, night, 0.0, 0.0)
