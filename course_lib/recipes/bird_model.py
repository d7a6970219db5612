"""The model of the `bird_questions` recipe: a question token attends to image tokens and speaks one word."""

from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from course_lib.attention import LayerNorm, MultiHeadAttention
from course_lib.data.bird_questions import ANSWERS

ASKED = ("count", "sky", "head")
SIZE, PATCH, BIRDS, BIRD = 32, 4, (1, 4), (0.28, 0.33)
# One vocabulary for all questions: "blue" is the same word of a sky and of a head.
WORDS = tuple(dict.fromkeys(word for name in ASKED for word in ANSWERS[name] if name != "count" or word in "1234"))


class QuestionAnswerer(nn.Module):
    """Answer one of `ASKED` about an image by a single cross-attention from a question token to its patches.

    A token knows the 9 x 9 pixels around its 4 x 4 patch and nothing else, not even where it is. With
    `uniform=True` the question cannot choose where to look: it gets the average of all tokens instead.
    """

    def __init__(self, dim: int = 64, heads: int = 4, uniform: bool = False) -> None:
        super().__init__()
        self.uniform = uniform
        self.embed = nn.Sequential(
            nn.Conv2d(3, 32, 5, stride=2, padding=2), nn.BatchNorm2d(32), nn.GELU(),
            nn.Conv2d(32, dim, 3, stride=2, padding=1), nn.BatchNorm2d(dim), nn.GELU(), nn.Conv2d(dim, dim, 1),
        )  # fmt: skip
        self.norm = LayerNorm(dim)
        self.questions = nn.Embedding(len(ASKED), dim)
        self.attn = MultiHeadAttention(dim, heads)
        self.answer = nn.Sequential(LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, len(WORDS)))

    def tokens(self, images: Tensor) -> Tensor:
        """Images `[b 3 32 32]` to tokens `[b 64 d]`, row-major, each of 9 x 9 pixels around its patch."""
        return self.norm(rearrange(self.embed(images * 4 - 2), "b d h w -> b (h w) d"))

    def forward(self, images: Tensor, question: Tensor, mask: Tensor | None = None) -> Tensor:
        """Images `[b 3 32 32]`, question `[b]` indexing `ASKED`, mask `[b 64]` -> logits over `WORDS` `[b words]`.

        `mask` is True for patches that may be attended to.
        """
        asked = self.questions(question)[:, None]  # [b 1 d]
        tokens = self.tokens(images)
        if self.uniform:
            tokens, mask = tokens.mean(1, keepdim=True), None
        mask = None if mask is None else mask[:, None]  # [b 1 n]
        return self.answer(asked + self.attn(asked, tokens, mask))[:, 0]

    @torch.no_grad()
    def look(self, images: Tensor, question: Tensor) -> Tensor:
        """The attention weights over the patches, `[b h 64]`: where each head looks for this question."""
        return self.attn.attention_maps(self.questions(question)[:, None], self.tokens(images))[:, :, 0]


def save(model: QuestionAnswerer, path: Path) -> None:
    """Write a model's parameters as float16 to an `.npz` file; four digits are enough for its answers."""
    np.savez_compressed(path, **{name: value.half().numpy() for name, value in model.state_dict().items()})


def load(path: str | Path) -> QuestionAnswerer:
    """The model that `save` wrote, in eval mode. Raises `FileNotFoundError` with the command that makes the file."""
    if not Path(path).exists():
        raise FileNotFoundError(f"{path} is missing; make it with `python -m course_lib.recipes.bird_questions`.")
    with np.load(path) as stored:
        state = {name: torch.from_numpy(stored[name]).float() for name in stored.files}
    model = QuestionAnswerer(dim=state["norm.weight"].numel())
    model.load_state_dict(state)
    return model.eval()
