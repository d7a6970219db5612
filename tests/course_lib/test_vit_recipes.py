"""The digits and bird recipes run as commands, and what is shipped supports what the chapter says."""

import pytest
import torch
from shipping import SHIPPED, shipped

from course_lib.data.images import digits
from course_lib.recipes import bird_dino, digit_models, dino_model
from course_lib.recipes._common import parameters
from course_lib.vit import evaluate


def test_models_of_the_digits_are_equal_in_size_and_good():
    result = shipped("digits")
    sizes = [parameters(digit_models.make(name)) for name in digit_models.LABELS]
    assert max(sizes) / min(sizes) < 1.01
    assert min(result["models"]["vit"]["accuracy"]) > 0.971, "better than the best seed of a plain recipe"
    with pytest.raises(ValueError, match="No model is called"):
        digit_models.make("svm")


def test_shipped_digit_reader_gives_the_shipped_accuracy():
    x, y = digits("test", seed=shipped("digits")["seeds"][0])
    right = evaluate(digit_models.load(SHIPPED / "digits_vit.npz"), [(digit_models.standardised(x), y)])
    assert right == pytest.approx(shipped("digits")["models"]["vit"]["accuracy"][0], abs=0.003)


def test_jiggling_by_nothing_changes_nothing():
    x = torch.rand(3, 1, 8, 8)
    still = digit_models.jiggled(x, torch.Generator().manual_seed(0), turn=0, grow=0, slant=0, shift=0)
    torch.testing.assert_close(still, x, atol=1e-5, rtol=0)
    assert not torch.allclose(digit_models.jiggled(x, torch.Generator().manual_seed(0)), x, atol=0.01)


@pytest.mark.parametrize(("file", "method"), [("bird_dino", "DINO"), ("bird_dino_supervised", "supervised")])
def test_shipped_bird_models_give_the_shipped_overlap(file, method):
    result, test = shipped("bird_dino"), bird_dino.scenes_of(shipped("bird_dino")["test_scenes"], 5000)
    head, keep = result["chosen"][method][0]
    maps = bird_dino.look(dino_model.load(SHIPPED / f"{file}.npz"), test)
    assert bird_dino.iou(maps[head], bird_dino.truth(test), keep) == pytest.approx(result["iou"][method][0], abs=0.01)


def test_overlap_of_the_truth_is_one_and_of_its_complement_zero():
    true = torch.zeros(2, 8, 8, dtype=torch.bool)
    true[:, :4] = True
    right = torch.tensor([[1.0, 1.0], [0.0, 0.0]]).expand(2, 2, 2)
    assert bird_dino.iou(right, true, 1.0) == 1
    assert bird_dino.iou(1 - right, true, 1.0) == 0


def test_balanced_targets_use_all_prototypes():
    shares = dino_model.balanced(torch.rand(64, 16, generator=torch.Generator().manual_seed(0)), 0.1, rounds=20)
    torch.testing.assert_close(shares.sum(1), torch.ones(64))
    torch.testing.assert_close(shares.mean(0), torch.full((16,), 1 / 16), atol=1e-3, rtol=0)


def test_missing_models_name_the_command(tmp_path):
    for load, name in ((digit_models.load, "digits"), (dino_model.load, "bird_dino")):
        with pytest.raises(FileNotFoundError, match=f"course_lib.recipes.{name}"):
            load(tmp_path / "none.npz")
