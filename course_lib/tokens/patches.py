"""Patches: an image cut into squares, each square one token, and the way back."""

from einops import rearrange
from torch import Tensor, nn


def patchify(images: Tensor, patch: int) -> Tensor:
    """Cut images into square patches and lay the numbers of each patch in a row.

    Shape: [b c h w] -> [b n c*p*p] with n = (h/p)(w/p). Patches come row by row; inside a patch the order
    is (channel, row, column). Raises ValueError if `patch` does not divide both sides.
    """
    if images.ndim != 4:
        raise ValueError(f"Images must be [b c h w], but the shape is {tuple(images.shape)}.")
    _grid(tuple(images.shape[-2:]), patch)
    return rearrange(images, "b c (gh p1) (gw p2) -> b (gh gw) (c p1 p2)", p1=patch, p2=patch)


def unpatchify(tokens: Tensor, patch: int, image_size: tuple[int, int]) -> Tensor:
    """Put the patches of `patchify` back in their places.

    Shape: [b n c*p*p] -> [b c h w] with (h, w) = `image_size`. Raises ValueError if the number of patches
    or of channels does not fit.
    """
    if tokens.ndim != 3:
        raise ValueError(f"Patches must be [b n c*p*p], but the shape is {tuple(tokens.shape)}.")
    rows, columns = _grid(image_size, patch)
    if tokens.shape[1] != rows * columns:
        raise ValueError(
            f"An image of {image_size[0]}×{image_size[1]} has {rows * columns} patches of side {patch}, "
            f"but there are {tokens.shape[1]} tokens."
        )
    if tokens.shape[2] % patch**2:
        raise ValueError(f"Tokens of {tokens.shape[2]} numbers are not whole patches of {patch}×{patch} pixels.")
    return rearrange(tokens, "b (gh gw) (c p1 p2) -> b c (gh p1) (gw p2)", gh=rows, p1=patch, p2=patch)


class PatchEmbed(nn.Module):
    """Chop an image into patches and project each to a vector (Dosovitskiy et al. 2021, equation 1).

    `image_size` is (height, width), or one number for a square. The projection is `proj`, an
    nn.Linear(in_channels*patch*patch, dim); `grid` is the number of patches (down, across) and `n` their
    product. Raises ValueError if `patch` does not divide both sides.
    """

    def __init__(self, image_size: int | tuple[int, int], patch: int, in_channels: int, dim: int) -> None:
        super().__init__()
        self.image_size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
        self.patch = patch
        self.in_channels = in_channels
        self.grid = _grid(self.image_size, patch)
        self.n = self.grid[0] * self.grid[1]
        self.proj = nn.Linear(in_channels * patch**2, dim)

    def forward(self, images: Tensor) -> Tensor:
        """Shape: [b c h w] -> [b n dim]. Raises ValueError for images of another size than promised."""
        expected = (self.in_channels, *self.image_size)
        if tuple(images.shape[1:]) != expected:
            raise ValueError(f"Made for images of shape {expected}, but got {tuple(images.shape[1:])}.")
        return self.proj(patchify(images, self.patch))


def _grid(image_size: tuple[int, int], patch: int) -> tuple[int, int]:
    height, width = image_size
    if patch < 1 or height % patch or width % patch or not (height and width):
        raise ValueError(f"An image of {height}×{width} cannot be cut into patches of side {patch}.")
    return height // patch, width // patch
