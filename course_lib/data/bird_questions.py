"""Questions about bird scenes, their vocabularies of answers, and the true answers as class indices."""

import torch
from torch import Tensor

from course_lib.data.birds import BIRD_COLOURS, MAX_BIRDS, SKY_COLOURS, Scenes

QUESTIONS: dict[str, str] = {
    "count": "How many birds are in this image?",
    "sky": "What is the colour of the sky?",
    "head": "What is the colour of the bird's head?",
    "top_right_head": "What is the colour of the top-right bird's head?",
    "same_species": "Is the top-right bird the same species as the bottom-left bird?",
}
ANSWERS: dict[str, tuple[str, ...]] = {
    "count": tuple(str(number) for number in range(MAX_BIRDS + 1)),
    "sky": tuple(SKY_COLOURS),
    "head": tuple(BIRD_COLOURS),
    "top_right_head": tuple(BIRD_COLOURS),
    "same_species": ("no", "yes"),
}


def corner_bird(scenes: Scenes, corner: str) -> Tensor:
    """The slot of each scene's "top right" or "bottom left" bird, `[b]`, or -1 in a scene without birds.

    Top right is the bird whose centre is largest in column - row, bottom left the one where it is smallest.
    """
    if corner not in ("top right", "bottom left"):
        raise ValueError(f"corner={corner!r} must be 'top right' or 'bottom left'.")
    towards = scenes.centre[..., 1] - scenes.centre[..., 0]
    towards = towards if corner == "top right" else -towards
    slot = towards.masked_fill(~scenes.present, -torch.inf).argmax(-1)
    return torch.where(scenes.count > 0, slot, -1)


def answer(question: str, scenes: Scenes) -> Tensor:
    """The true answers `[b]` to one of `QUESTIONS`, as indices into `ANSWERS[question]`.

    Raises `ValueError` for an unknown question, and where a scene has not the birds that the question speaks
    of: exactly one for "head", one or more for "top_right_head", two or more for "same_species".
    """
    if question not in QUESTIONS:
        raise ValueError(f"No question is called {question!r}; there are {', '.join(QUESTIONS)}.")
    if question == "count":
        return scenes.count
    if question == "sky":
        return scenes.sky
    fewest = 2 if question == "same_species" else 1
    wrong = scenes.count < fewest if question != "head" else scenes.count != 1
    if wrong.any():
        amount = "exactly one bird" if question == "head" else f"at least {fewest} bird{'s' * (fewest > 1)}"
        raise ValueError(
            f"{QUESTIONS[question]!r} needs {amount} in each scene; scene {int(wrong.nonzero()[0])} "
            f"has {int(scenes.count[wrong][0])}."
        )
    rows = torch.arange(len(scenes))
    top_right = corner_bird(scenes, "top right")
    if question == "same_species":
        bottom_left = corner_bird(scenes, "bottom left")
        return (scenes.species[rows, top_right] == scenes.species[rows, bottom_left]).long()
    return scenes.head[rows, top_right]
