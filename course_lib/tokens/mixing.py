"""Mixing tokens: every way of gathering information over space is a matrix acting on the token axis."""

from dataclasses import dataclass

import torch
from torch import Tensor

from course_lib.attention import attention_weights


def mix_tokens(tokens: Tensor, weights: Tensor) -> Tensor:
    """Make each new token a weighted sum of the old ones, the same for every channel.

    Shapes: tokens [b n d], weights [m n] -> [b m d]; weights [b m n] mix each item in its own way, as
    attention does. Raises ValueError if the weights are not made for n tokens.
    """
    if tokens.ndim != 3 or weights.ndim not in (2, 3) or weights.shape[-1] != tokens.shape[1]:
        raise ValueError(
            f"Weights of shape {tuple(weights.shape)} do not mix tokens of shape {tuple(tokens.shape)}: "
            f"need [m n] for [b n d]."
        )
    return weights @ tokens


def conv_mixing_matrix(n: int, kernel: Tensor, stride: int = 1, padding: int | None = None) -> Tensor:
    """Write a convolution over n tokens as the matrix that `mix_tokens` applies.

    Shape: kernel [k] -> [m n] with m = (n + 2*padding - k) // stride + 1. It is the cross-correlation of deep
    learning, with `padding` zeros at both ends: k // 2 unless given, so that an odd kernel of stride 1
    keeps n. Raises ValueError if the padded sequence is shorter than the kernel.
    """
    if kernel.ndim != 1:
        raise ValueError(f"The kernel must be [k], but its shape is {tuple(kernel.shape)}.")
    padding = kernel.shape[0] // 2 if padding is None else padding
    return conv2d_mixing_matrix((1, n), kernel[None], (1, stride), (0, padding))


def conv2d_mixing_matrix(
    grid: tuple[int, int],
    kernel: Tensor,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] | None = None,
) -> Tensor:
    """Write a convolution over a grid of tokens, row after row, as the matrix that `mix_tokens` applies.

    Shape: kernel [kh kw] -> [mh*mw h*w]; otherwise as `conv_mixing_matrix`, along both sides.
    """
    if kernel.ndim != 2:
        raise ValueError(f"The kernel must be [kh kw], but its shape is {tuple(kernel.shape)}.")
    padding = (kernel.shape[0] // 2, kernel.shape[1] // 2) if padding is None else padding
    (down, row_there), (across, column_there) = (
        _taps(n, k, s, p, kernel.device) for n, k, s, p in zip(grid, kernel.shape, stride, padding, strict=True)
    )
    weights = kernel[down[:, None, :, None], across[None, :, None, :]]  # [mh mw h w]
    reached = row_there[:, None, :, None] & column_there[None, :, None, :]
    matrix = torch.where(reached, weights, torch.zeros((), dtype=kernel.dtype, device=kernel.device))
    return matrix.flatten(2).flatten(0, 1)


def pyramid_mixing_matrix(n: int, kernel: Tensor, levels: int, stride: int = 2) -> Tensor:
    """Write a pyramid, the same strided convolution applied `levels` times, as one matrix.

    Shape: kernel [k] -> [m n], m being about n / stride**levels. Each level doubles (`stride` 2) the reach of
    its tokens, with k shared weights. Raises as `conv_mixing_matrix` does.
    """
    matrix = torch.eye(n, dtype=kernel.dtype, device=kernel.device)
    for _ in range(levels):
        matrix = conv_mixing_matrix(matrix.shape[0], kernel, stride) @ matrix
    return matrix


@dataclass(frozen=True)
class Mixing:
    """One way of aggregating over space: its matrix [m n], and what it takes to describe that matrix."""

    name: str
    matrix: Tensor
    parameters: int
    shared: bool  # the same weights serve every place
    from_data: bool  # the matrix is a function of the tokens

    @property
    def reach(self) -> float:
        """The share of entries that are not zero: how much of the input an output sees."""
        return (self.matrix != 0).double().mean().item()


def ways_of_mixing(tokens: Tensor, kernel: Tensor, levels: int = 2, seed: int = 0) -> list[Mixing]:
    """Draw up six ways of mixing the same tokens, from patches to attention, for comparing.

    Shapes: tokens [n d], kernel [k] with odd k. Weights that would be learned (the fully connected layer, and
    attention's query and key projections without biases) are drawn from `seed`; only attention looks
    at the tokens. Raises ValueError if the kernel is longer than the sequence.
    """
    n, d = tokens.shape
    k = kernel.numel()
    generator = torch.Generator().manual_seed(seed)
    full, query, key = (
        (torch.randn(*shape, generator=generator, dtype=torch.float64) / shape[1] ** 0.5).to(tokens)
        for shape in [(n, n), (d, d), (d, d)]
    )
    attention = attention_weights(tokens @ query.mT, tokens @ key.mT)
    apart, overlapping = conv_mixing_matrix(n, kernel, k, padding=0), conv_mixing_matrix(n, kernel)
    strided, pyramid = conv_mixing_matrix(n, kernel, 2), pyramid_mixing_matrix(n, kernel, levels)
    return [
        Mixing("convolution without overlap", apart, k, shared=True, from_data=False),
        Mixing("convolution with overlap", overlapping, k, shared=True, from_data=False),
        Mixing("convolution of stride 2", strided, k, shared=True, from_data=False),
        # a network learns each level by itself
        Mixing(f"pyramid of {levels} levels", pyramid, k * levels, shared=True, from_data=False),
        Mixing("fully connected", full, n * n, shared=False, from_data=False),
        Mixing("attention", attention, 2 * d * d, shared=True, from_data=True),
    ]


def _taps(n: int, k: int, stride: int, padding: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Which weight joins each output to each input along one side, and whether any does: [m n] twice."""
    m = (n + 2 * padding - k) // stride + 1 if stride > 0 else 0
    if m < 1 or k < 1 or padding < 0:
        raise ValueError(f"A kernel of {k} with stride {stride} and padding {padding} does not fit {n} tokens.")
    first = torch.arange(m, device=device) * stride - padding
    tap = torch.arange(n, device=device) - first[:, None]
    return tap.clamp(0, k - 1), (tap >= 0) & (tap < k)
