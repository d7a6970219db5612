"""The recipe about digits in patches runs as a command, and what it has shipped supports what the chapter says."""

import pytest
import torch
from shipping import shipped

from course_lib.recipes import digit_patches
from course_lib.recipes._common import parameters

SHIPPED = shipped("digit_patches")


def test_shipped_file_says_where_it_comes_from():
    assert SHIPPED["command"] == "python -m course_lib.recipes.digit_patches" and SHIPPED["minutes"] < 15
    assert len(set(SHIPPED["seeds"])) >= 3 and SHIPPED["title"]
    for row, (name, facts) in zip(SHIPPED["table"], SHIPPED["models"].items(), strict=True):
        assert row["network"] == facts["label"] == digit_patches.LABELS[name]
        assert row["parameters"] == facts["parameters"] == parameters(digit_patches.model(name))
        for where in digit_patches.ARRANGEMENTS:
            mean = sum(facts[where]) / len(SHIPPED["seeds"])
            assert row[f"accuracy, patches {where.replace('_', ' ')}"] == pytest.approx(mean, abs=2e-4)
    sizes = [facts["parameters"] for facts in SHIPPED["models"].values()]
    assert max(sizes) < 1.15 * min(sizes), "the nets are of about equal size"


def test_mixing_helps_and_only_the_convolution_minds_the_shuffle():
    models = SHIPPED["models"]
    alone = models["alone"]
    assert alone["in_place"] == alone["shuffled"]
    for name in ("token_net", "mixer", "cnn"):
        for where in digit_patches.ARRANGEMENTS:
            assert min(models[name][where]) > max(alone[where]) + 0.1
    gaps = {name: [a - b for a, b in zip(m["in_place"], m["shuffled"], strict=True)] for name, m in models.items()}
    assert all(0 < gap < 0.01 for gap in gaps["cnn"])
    assert all(min(gaps[name]) < 0 for name in ("token_net", "mixer"))


def test_shuffle_moves_whole_patches_and_loses_nothing():
    images, order = torch.rand(3, 1, 8, 8), digit_patches.shuffled_order()
    assert sorted(order.tolist()) == list(range(16)) and order.tolist() == SHIPPED["order"]
    shuffled = digit_patches.arrange(images, order)
    assert torch.equal(digit_patches.arrange(shuffled, order.argsort()), images)
    # what comes to row 0, column 1
    down, across = divmod(int(order[1]), 4)
    torch.testing.assert_close(shuffled[..., :2, 2:4], images[..., 2 * down :, 2 * across :][..., :2, :2])


@pytest.mark.parametrize("name", digit_patches.LABELS)
def test_only_the_net_without_mixing_is_blind_to_places(name):
    torch.manual_seed(0)
    net, images = digit_patches.model(name).double(), torch.randn(4, 1, 8, 8).double()
    with torch.no_grad():
        moved = (net(digit_patches.arrange(images, digit_patches.shuffled_order())) - net(images)).abs().max().item()
    assert (moved < 1e-12) == (name == "alone")


def test_unknown_model_is_refused():
    with pytest.raises(ValueError, match="no model 'rnn'; there are alone"):
        digit_patches.model("rnn")
