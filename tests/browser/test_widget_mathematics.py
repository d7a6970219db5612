"""What the widgets compute in the browser, held to torch and to the course's own attention."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from spelling import spelled
from torch.testing import assert_close

from course_lib.attention import attend, gram_attention
from course_lib.widgets import AttentionPlane, GramClusters, MaskedAttentionMap

pytestmark = pytest.mark.browser


def tensor(values: object) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


# ordinary scores, scores whose exponential overflows, equal ones, and one alone
@pytest.mark.parametrize("scores", [[0.3, -1.2, 2.5], [1000.0, -1000.0, 999.0], [-5e4, -5e4 - 1], [7.0]])
def test_softmax(load: Callable, scores: list[float]) -> None:
    assert_close(tensor(load(AttentionPlane)("softmax", scores)), tensor(scores).softmax(0))


def test_softmax_of_nothing_is_zero_and_of_some_is_over_those(load: Callable) -> None:
    call = load(AttentionPlane)
    assert call("softmax", [1.0, 2.0], [False, False]) == [0, 0]
    # the masked score is the largest by far: it must not even serve as the one that is subtracted
    weights = tensor(call("softmax", [1.0, 1e4, -2.0], [True, False, True]))
    assert_close(weights[[0, 2]], tensor([1.0, -2.0]).softmax(0))
    assert weights[1] == 0


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("allowed", [[True] * 5, [True, False, True, True, False], [False] * 5])
def test_one_query_attends_as_the_course_does(load: Callable, scaled: bool, allowed: list[bool]) -> None:
    generator = torch.Generator().manual_seed(3)
    query, keys, values = (torch.randn(n, 2, generator=generator, dtype=torch.float64) for n in (1, 5, 5))
    temperature = 0.7
    given = {
        "query": query[0].tolist(), "keys": keys.tolist(), "values": values.tolist(),
        "allowed": allowed, "temperature": temperature, "scaled": scaled,
    }  # fmt: skip
    result = load(AttentionPlane)("attendOne", given)
    undo = 1.0 if scaled else 2**0.5
    output, weights = attend(query * undo / temperature, keys, values, torch.tensor([allowed]))
    assert_close(tensor(result["weights"]), weights[0])
    assert_close(tensor(result["output"]), output[0])
    assert_close(tensor(result["scores"]), (keys @ query[0]) * undo / 2**0.5)


def test_hash_has_the_published_values(load: Callable) -> None:
    # test vectors of the hash's authors, for 32-bit FNV-1a
    call = load(MaskedAttentionMap)
    published = {"": 0x811C9DC5, "a": 0xE40C292C, "foobar": 0xBF9CF968}
    assert {text: call("fnv1a", text) for text in published} == published


@pytest.mark.parametrize("mask", ["none", "causal", "padding", "causal+padding"])
@pytest.mark.parametrize("pad_left", [False, True])
def test_map_of_a_sentence(load: Callable, mask: str, pad_left: bool) -> None:
    words, length, dim, temperature = "Vögel sehen zwei Vogel".split(), 7, 11, 0.6
    result = load(MaskedAttentionMap)(
        "attentionMap",
        {"sentence": f"  {' '.join(words)} ", "length": length, "padLeft": pad_left, "mask": mask,
         "temperature": temperature, "dim": dim},
    )  # fmt: skip
    pads = ["·pad·"] * (length - len(words))
    tokens = pads + words if pad_left else words + pads
    assert result["tokens"] == tokens
    vectors = torch.stack([spelled(t, dim) for t in tokens])
    allowed = torch.ones(length, length, dtype=torch.bool)
    if "causal" in mask:
        allowed = allowed.tril()
    if "padding" in mask:
        allowed = allowed & torch.tensor([t not in pads for t in tokens])
    _, weights = attend(vectors / temperature, vectors, vectors, allowed)
    assert_close(tensor(result["weights"]), weights)
    assert result["allowed"] == allowed.tolist()
    sums = weights.sum(-1)
    assert_close(tensor(result["weights"]).sum(-1), sums)
    if pad_left and mask == "causal+padding":
        assert sums[: len(pads)].tolist() == [0] * len(pads), "pads in front see nothing"


def test_a_word_scores_three_with_itself(load: Callable) -> None:
    result = load(MaskedAttentionMap)(
        "attentionMap",
        {"sentence": "a bird", "length": 2, "padLeft": False, "mask": "none", "temperature": 1},
    )
    assert_close(tensor([result["scores"][i][i] for i in range(2)]), tensor([3.0, 3.0]))


@pytest.mark.parametrize("temperature", [0.05, 0.3, 2.0])
@pytest.mark.parametrize("normalise", [False, True])
def test_gram_step(load: Callable, temperature: float, normalise: bool) -> None:
    points = torch.randn(1, 9, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    expected = gram_attention(points, temperature)[0]
    if normalise:
        expected = torch.nn.functional.normalize(expected, dim=-1)
    got = load(GramClusters)("gramStep", points[0].tolist(), temperature, normalise)
    assert_close(tensor(got), expected)


def test_groups_are_chains_of_near_points(load: Callable) -> None:
    call = load(GramClusters)
    # the first three hang together though the outer two are far apart; the chain is given out of order
    points = [[0.0, 0.0], [0.08, 0.0], [0.04, 0.0], [1.0, 1.0], [1.0, 1.04], [-1.0, 0.0]]
    assert call("countGroups", points, 0.05) == 3
    assert call("countGroups", points, 0.01) == 6
    assert call("countGroups", points, 5) == 1
