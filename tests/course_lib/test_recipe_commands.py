"""Every recipe runs as its command, writes what the book reads, and what is shipped says where it comes from."""

import json
import re

import numpy as np
import pytest
from shipping import SHIPPED, keys, run_recipe, shipped

from course_lib import recipes

LANGUAGE = "--steps 3 --batch 4 --measure-every 2 --dim 8"
SMALL = {
    "adder": f"{LANGUAGE} --depth 1 --heads 2 --digits 1",
    "bird_dino": "--scenes 20 --dino-steps 1 --supervised-steps 1 --test-scenes 4 --batch 8",
    "bird_questions": "--scenes 64 --steps 2 --test-scenes 16",
    "characters": f"{LANGUAGE} --depth 1 --heads 2 --block 16 --corpus python",
    "digit_patches": "--steps 2",
    "digits": "--steps 2 --few-steps 1",
    "distance_field": "--steps 2 --points 16 --width 8 --depth 2",
    "image_fields": "--steps 2 --side 9 --width 8 --depth 4 --small-width 4 --small-steps 2",
    "induction": f"{LANGUAGE} --examples 20 --tests 5 --length 16 --vocab 12 --heads 2",
    "localisation": "--images 64 --steps 2 --test-images 41",
    "poisson_field": "--steps 2 --side 9 --width 8 --depth 2",
    "positions": "--sequences 64 --steps 2 --test-sequences 8",
    "same_species": "--scenes 64 --feature-steps 2 --relation-steps 2 --test-scenes 16",
    "sort": f"{LANGUAGE} --depth 1 --heads 2 --length 3 --values 2",
    "tales": f"{LANGUAGE} --tales 30 --tests 5 --told 3",
    "translation": f"{LANGUAGE} --depth 1 --heads 2 --pairs 50 --tests 20",
}
NEEDS_THE_NETWORK = {"sound_field"}


def test_every_recipe_is_tried() -> None:
    files = next(iter(recipes.__path__))
    commands = {p.stem for p in SHIPPED.parents[1].joinpath(files).glob("*.py") if "def main(" in p.read_text()}
    assert commands == SMALL.keys() | NEEDS_THE_NETWORK == {p.stem for p in SHIPPED.glob("*.json")}


@pytest.mark.parametrize("name", SMALL)
def test_command_writes_files_like_the_shipped_ones(name: str, tmp_path) -> None:
    out = tmp_path / "new" / f"{name}.json"
    done = run_recipe(name, *SMALL[name].split(), "--seeds", 3, "--out", out)
    told = "seed 3: 0." if name == "digits" else "100.0 %"  # a line a model, or one that shows how far the work is
    assert done.stdout == "" and told in done.stderr
    result = json.loads(out.read_text())
    assert keys(result) == keys(shipped(name)) and result["seeds"] == [3]
    assert result["command"].startswith(f"python -m course_lib.recipes.{name} --")
    for weights in SHIPPED.glob(f"{name}*.npz"):
        made = out.parent / weights.name
        if made.exists() or weights.stem == name:
            with np.load(made) as new, np.load(weights) as old:
                assert sorted(new.files) == sorted(old.files)


@pytest.mark.parametrize("name", sorted(SMALL.keys() | NEEDS_THE_NETWORK))
def test_shipped_files_say_where_they_come_from(name: str) -> None:
    result = shipped(name)
    # the bare command: whoever types it gets this file
    assert result["command"] == f"python -m course_lib.recipes.{name}" and result["recipe"] == name
    assert re.fullmatch(r"(cpu|cuda) \(.+\)(, \d+ threads?)?", result["device"])
    assert re.match(r"\d+\.\d+", result["torch"]) and 0.05 < result["minutes"] < 60
    assert len(set(result["seeds"])) == len(result["seeds"]) >= (1 if name == "characters" else 2) and result["title"]
    assert result["table"] and all(list(row) == list(result["table"][0]) for row in result["table"])
    assert (SHIPPED / f"{name}.json").stat().st_size < 150_000
