"""Readers of the file formats that MNIST, CIFAR-10 and recordings come in; each checks all sizes it relies on."""

import numpy as np
import torch
from torch import Tensor

_IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CIFAR_RECORD = 1 + 3 * 32 * 32


def read_idx(content: bytes) -> Tensor:
    """Turn the content of an IDX file into a tensor of the shape and type that its header states.

    Raises ValueError if the header is not one of IDX or there are more or fewer numbers than it promises.
    Source: LeCun's description of the MNIST files (big-endian; two zeros, type, number of axes, sizes).
    """
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _IDX_TYPES:
        raise ValueError(f"This is not an IDX file: it begins with {content[:4].hex(' ') or 'nothing'}.")
    kind, axes = np.dtype(_IDX_TYPES[content[2]]), content[3]
    header = 4 + 4 * axes
    if len(content) < header:
        raise ValueError(f"The IDX header of {axes} axes ends after {len(content)} of {header} bytes.")
    shape = tuple(np.frombuffer(content, ">u4", axes, offset=4).tolist())
    expected = header + kind.itemsize * int(np.prod(shape, dtype=object))
    if len(content) != expected:
        raise ValueError(f"An IDX file of shape {shape} has {expected:,} bytes, but this one {len(content):,}.")
    numbers = np.frombuffer(content, kind, offset=header).reshape(shape)
    return torch.from_numpy(numbers.astype(kind.newbyteorder("=")))


def read_cifar10(content: bytes) -> tuple[Tensor, Tensor]:
    """Turn a batch file of CIFAR-10's binary version into images and labels.

    Shapes: uint8 [n 3 32 32] in 0..255 and int64 [n] in 0..9. Raises ValueError if the file is not a whole
    number of records or has a label above 9. Source: the data set's page (a label byte, then red, green and
    blue, each row by row).
    """
    if not content or len(content) % _CIFAR_RECORD:
        raise ValueError(f"A CIFAR-10 file is made of {_CIFAR_RECORD} bytes a record, but has {len(content):,}.")
    records = torch.from_numpy(np.frombuffer(content, np.uint8).reshape(-1, _CIFAR_RECORD).copy())
    labels = records[:, 0].long()
    if labels.max() > 9:
        raise ValueError(f"CIFAR-10 has the labels 0 to 9, but this file has a {labels.max()}.")
    return records[:, 1:].reshape(-1, 3, 32, 32).contiguous(), labels
