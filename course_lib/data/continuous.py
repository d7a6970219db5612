"""A picture that can be asked for its value at any point, not only at those of a grid."""

import torch.nn.functional as F
from torch import Tensor

from course_lib.data.images import picture


class ContinuousPicture:
    """See one of scikit-image's pictures through a lens that is as blunt as the pixels of a `side` × `side` grid.

    Called with points [... 2], (row, column) within [-1, 1] as `coordinate_grid` lists them, it returns grey
    values [... c] in [0, 1]. Each is a mean weighted by a triangle that reaches one step of that grid to each
    side, the filter with which image libraries shrink pictures; between the stored pixels it is bilinear. So
    what a network says off the grid of `side` × `side` points can be held to what is really there. Raises
    ValueError if the grid is finer than the stored picture or has fewer than two points to a side.
    """

    def __init__(self, side: int, name: str = "camera") -> None:
        image = picture(name)
        if not 2 <= side <= min(image.shape[-2:]):
            raise ValueError(f"A grid on {name!r} has 2 to {min(image.shape[-2:])} points to a side, not {side}.")
        self.side = side
        for axis, length in ((1, image.shape[1]), (2, image.shape[2])):
            image = _blurred(image, (length - 1) / (side - 1), axis)
        self.image = image  # [c h w], as fine as stored

    def __call__(self, points: Tensor) -> Tensor:
        image = self.image.to(points)
        # grid_sample wants (x, y), that is (column, row)
        at = points.reshape(1, 1, -1, 2).flip(-1)
        values = F.grid_sample(image[None], at, align_corners=True, padding_mode="border")  # [1 c 1 n]
        return values[0, :, 0].mT.reshape(*points.shape[:-1], len(image))

    def slope(self, points: Tensor) -> Tensor:
        """Its gradient at points [... 2] inside the picture, by central differences over half a step of the grid.

        Shape: [... 2] per unit of the coordinates, for a grey picture. Raises ValueError for a coloured one.
        """
        if len(self.image) != 1:
            raise ValueError("Only a grey picture has one gradient; this one has colours.")
        step = 0.5 / (self.side - 1)
        shifts = step * points.new_tensor([[1.0, 0.0], [0.0, 1.0]])
        ahead, behind = (self(points[..., None, :] + s * shifts)[..., 0] for s in (1, -1))
        return (ahead - behind) / (2 * step)


def _blurred(image: Tensor, reach: float, axis: int) -> Tensor:
    """The mean along one axis of an image [c h w], weighted by a triangle that ends after `reach` pixels."""
    half = int(reach)
    offsets = image.new_tensor(range(-half, half + 1))
    kernel = (1 - offsets.abs() / reach).clamp_min(0)
    kernel = (kernel / kernel.sum()).view(1, 1, *((-1, 1) if axis == 1 else (1, -1)))
    padding = (0, 0, half, half) if axis == 1 else (half, half, 0, 0)
    return F.conv2d(F.pad(image[:, None], padding, mode="reflect"), kernel)[:, 0]
