"""The set-to-set task of the attention chapter: its answers are true, and its measure tells good from bad."""

import pytest
import torch
from torch import nn

from course_lib.set_task import draw_sets, explained, set_network, train_on_sets


def test_the_answers_are_the_distances_to_the_largest():
    x, y = draw_sets(3, 5, torch.Generator().manual_seed(1))
    assert x.shape == y.shape == (3, 5, 1)
    for numbers, answers in zip(x[..., 0].tolist(), y[..., 0].tolist(), strict=True):
        assert answers == pytest.approx([max(numbers) - number for number in numbers], abs=1e-6)


def test_the_same_generator_gives_the_same_sets_and_the_global_one_is_left_alone():
    state = torch.get_rng_state()
    first, again = (draw_sets(2, 4, torch.Generator().manual_seed(7))[0] for _ in range(2))
    assert torch.equal(first, again) and torch.equal(torch.get_rng_state(), state)


class Oracle(nn.Module):
    def forward(self, x):
        return x.amax(dim=1, keepdim=True) - x


class Mean(nn.Module):
    def forward(self, x):
        return torch.full_like(x, 1.5)


def test_the_measure_is_one_for_the_truth_and_about_zero_for_a_constant():
    assert explained(Oracle(), n=7) == 1.0
    # the mean distance to the largest of ten normal numbers is 1.54
    assert explained(Mean(), n=10) == pytest.approx(0, abs=0.02)


def test_a_short_training_finds_what_no_view_of_single_numbers_can():
    torch.manual_seed(0)
    together = set_network(depth=2)
    alone = nn.Sequential(nn.Linear(1, 32), nn.GELU(), nn.Linear(32, 1))
    for model in (together, alone):
        train_on_sets(model, steps=150, rate=5e-3, batch=32, cycle=True)
    assert explained(together) > 0.9
    assert explained(alone) < 0.4
