"""Pictures: two sets and some single ones that come with installed packages, and two sets to download.

Images are `b c h w`, by default float32 in [0, 1]; with `dtype=torch.uint8` they are the bytes 0 to 255 they
are stored as. Labels are int64.
"""

import gzip
import tarfile
from typing import Literal

import torch
from torch import Tensor

from course_lib.data import catalogue
from course_lib.data.download import fetch
from course_lib.data.formats import read_cifar10, read_idx
from course_lib.data.transfer import Progress

Split = Literal["train", "test"]

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""What the labels 0 to 9 of CIFAR-10 mean."""

PICTURES = (
    "astronaut", "brick", "camera", "cat", "coffee", "coins", "grass", "gravel", "moon", "page", "rocket", "text",
)  # fmt: skip
"""The names `picture` knows: those of scikit-image's pictures that are part of the package itself."""


def digits(split: Split, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Handwritten digits of 8 × 8 pixels that come with scikit-learn, nothing to download.

    Shapes: images [n 1 8 8], labels [n] in 0..9; n is 1437 to train and 360 to test. The two are disjoint
    and drawn by `seed` from all 1797, so writers occur in both. The images have 17 grey levels: 0 to 16, as
    floats divided by 16. Raises ImportError if scikit-learn is missing. Source: Alpaydin and Kaynak 1998.
    """
    _check_split(split)
    from sklearn.datasets import load_digits

    stored = load_digits()
    order = torch.randperm(len(stored.target), generator=torch.Generator().manual_seed(seed))
    chosen = order[:1437] if split == "train" else order[1437:]
    images = torch.from_numpy(stored.images)[chosen][:, None]
    images = images.to(dtype) if not dtype.is_floating_point else (images / 16).to(dtype)
    return images, torch.from_numpy(stored.target).long()[chosen]


def mnist(
    split: Split, *, dtype: torch.dtype = torch.float32, progress: Progress | None = None
) -> tuple[Tensor, Tensor]:
    """Handwritten digits of 28 × 28 pixels, downloaded once (11 MB).

    Shapes: images [n 1 28 28], labels [n] in 0..9; n is 60,000 to train and 10,000 to test. Raises
    DownloadError as `fetch` does. Source: LeCun, Bottou, Bengio and Haffner 1998.
    """
    _check_split(split)
    images, labels = (read_idx(gzip.decompress(fetch(f, progress).read_bytes())) for f in catalogue.MNIST[split])
    return _as_images(images[:, None], dtype), labels.long()


def cifar10(
    split: Split, *, dtype: torch.dtype = torch.float32, progress: Progress | None = None
) -> tuple[Tensor, Tensor]:
    """Photographs of 32 × 32 pixels in the ten CIFAR10_CLASSES, downloaded once (170 MB).

    Shapes: images [n 3 32 32], labels [n] in 0..9; n is 50,000 to train and 10,000 to test, in the order of
    the files. Raises DownloadError as `fetch` does. Source: Krizhevsky 2009 (the binary version, since to
    read the Python version is to run whatever it contains).
    """
    _check_split(split)
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] if split == "train" else ["test_batch.bin"]
    batches = []
    with tarfile.open(fetch(catalogue.CIFAR10, progress), "r:gz") as archive:
        for name in names:
            member = archive.extractfile(f"cifar-10-batches-bin/{name}")
            if member is None:
                raise ValueError(f"{name} in the archive of CIFAR-10 is not a file.")
            batches.append(read_cifar10(member.read()))
    images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    return _as_images(images, dtype), labels


def picture(name: str, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """One of the PICTURES that come with scikit-image, nothing to download.

    Shape: [c h w], c = 1 for grey ones and 3 for coloured ones; `camera` is 512 × 512 and grey. Raises
    ValueError for any other name and ImportError if scikit-image is missing.
    """
    if name not in PICTURES:
        raise ValueError(f"There is no picture {name!r}; there are {', '.join(PICTURES)}.")
    from skimage import data

    stored = torch.from_numpy(getattr(data, name)().copy())
    stored = stored[None] if stored.ndim == 2 else stored.permute(2, 0, 1).contiguous()  # [c h w]
    return _as_images(stored, dtype)


def _as_images(stored: Tensor, dtype: torch.dtype) -> Tensor:
    return (stored / 255).to(dtype) if dtype.is_floating_point else stored.to(dtype)


def _check_split(split: str) -> None:
    if split not in ("train", "test"):
        raise ValueError(f"The splits are 'train' and 'test', but {split!r} was asked for.")
