"""One tokeniser interface for text, images, sound and point clouds: chop the input up, project each piece."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from course_lib.tokens.bpe import BPETokenizer
from course_lib.tokens.patches import patchify


class Tokenizer(nn.Module):
    """Turn any signal into tokens [b n dim]: `chop` gives pieces [b n size], and `proj` projects each.

    Subclasses say how to chop. `proj` is an nn.Linear(size, dim).
    """

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Linear(size, dim)

    def chop(self, signal) -> tuple[Tensor, Tensor]:
        """Give the pieces [b n size], and which of them are there [b n]: False marks padding."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to chop its input up.")

    def forward(self, signal) -> tuple[Tensor, Tensor]:
        """Give the tokens [b n dim], zero where there is padding, and [b n], False where there is padding."""
        pieces, present = self.chop(signal)
        return self.proj(pieces) * present[..., None], present


class ImageTokenizer(Tokenizer):
    """Chop images [b c h w] into patches, of any image size that `patch` divides."""

    def __init__(self, patch: int, in_channels: int, dim: int) -> None:
        super().__init__(in_channels * patch**2, dim)
        self.patch = patch

    def chop(self, signal: Tensor) -> tuple[Tensor, Tensor]:
        return _all_there(patchify(signal, self.patch))


class AudioTokenizer(Tokenizer):
    """Chop sound [b channels samples] into frames of `frame` samples, one every `hop` (default: no overlap).

    Samples after the last whole frame are dropped. A piece is ordered (channel, time). Raises ValueError for
    a sound shorter than one frame.
    """

    def __init__(self, frame: int, dim: int, hop: int | None = None, in_channels: int = 1) -> None:
        super().__init__(in_channels * frame, dim)
        self.frame = frame
        self.hop = hop or frame

    def chop(self, signal: Tensor) -> tuple[Tensor, Tensor]:
        if signal.shape[-1] < self.frame:
            raise ValueError(f"A sound of {signal.shape[-1]} samples is shorter than a frame of {self.frame}.")
        frames = signal.unfold(-1, self.frame, self.hop)  # [b c n frame]
        return _all_there(rearrange(frames, "b c n t -> b n (c t)"))


class TextTokenizer(Tokenizer):
    """Chop texts into byte-pair tokens, each a one-hot vector: projecting it looks a row of `proj` up.

    Takes a sequence of strings, padded to the longest, and any BPETokenizer whose ids are 0, 1, 2, …
    """

    def __init__(self, bpe: BPETokenizer, dim: int) -> None:
        super().__init__(len(bpe), dim)
        self.bpe = bpe

    def chop(self, signal: Sequence[str]) -> tuple[Tensor, Tensor]:
        texts = [self.bpe.encode(text) for text in signal]
        weight = self.proj.weight
        lengths = torch.tensor([len(ids) for ids in texts], device=weight.device)
        n = max(map(len, texts), default=0)
        ids = torch.tensor([ids + [0] * (n - len(ids)) for ids in texts], dtype=torch.long, device=weight.device)
        present = torch.arange(n, device=weight.device) < lengths[:, None]
        pieces = F.one_hot(ids.reshape(len(texts), n), self.proj.in_features).to(weight.dtype)
        return pieces * present[..., None], present


class PointCloudTokenizer(Tokenizer):
    """Chop point clouds [b points 3] into `groups` neighbourhoods of `neighbours` points each.

    Centres are chosen far apart, each next one the point farthest from those chosen so far, beginning with
    the point farthest from the mean, so that the order of the points does not matter. A piece is its centre,
    then the offsets of its nearest points, nearest first (the centre itself among them). Source: Qi et al.
    2017 (PointNet++), section 3.2. Raises ValueError for clouds with too few points.
    """

    def __init__(self, groups: int, neighbours: int, dim: int, axes: int = 3) -> None:
        super().__init__(axes * (neighbours + 1), dim)
        self.groups = groups
        self.neighbours = neighbours

    def chop(self, signal: Tensor) -> tuple[Tensor, Tensor]:
        if signal.shape[1] < max(self.groups, self.neighbours):
            raise ValueError(
                f"{signal.shape[1]} points cannot make {self.groups} groups of {self.neighbours} neighbours."
            )
        centres = farthest_points(signal, self.groups)  # [b groups axes]
        distances = torch.cdist(centres, signal, compute_mode="donot_use_mm_for_euclid_dist")
        nearest = distances.topk(self.neighbours, largest=False).indices  # [b groups neighbours], nearest first
        every = torch.arange(signal.shape[0], device=signal.device)[:, None, None]
        offsets = signal[every, nearest] - centres[:, :, None]
        return _all_there(torch.cat([centres, offsets.flatten(2)], dim=-1))


def farthest_points(points: Tensor, k: int) -> Tensor:
    """Choose k points that cover a cloud, each the farthest from those before. Shape: [b n c] -> [b k c]."""
    every = torch.arange(points.shape[0], device=points.device)
    gap = (points - points.mean(1, keepdim=True)).square().sum(-1)  # [b n]
    chosen: list[Tensor] = []
    for i in range(k):
        chosen.append(points[every, gap.argmax(1)])
        to_last = (points - chosen[-1][:, None]).square().sum(-1)
        gap = to_last if i == 0 else torch.minimum(gap, to_last)
    return torch.stack(chosen, dim=1)


def _all_there(pieces: Tensor) -> tuple[Tensor, Tensor]:
    return pieces, torch.ones(pieces.shape[:2], dtype=torch.bool, device=pieces.device)
