"""The recordings that the authors of SIREN fit with it."""

from typing import Literal

from torch import Tensor

from course_lib.data.catalogue import SIREN_CLIPS
from course_lib.data.download import fetch
from course_lib.data.transfer import Progress
from course_lib.data.wav import read_wav


def siren_clip(name: Literal["bach", "counting"], *, progress: Progress | None = None) -> tuple[Tensor, int]:
    """A recording of seven seconds of music or twelve of a voice that counts, downloaded once (1 or 2 MB).

    Shape: float32 [n 1] within [-1, 1], and the number of samples a second (44,100). Raises ValueError for
    another name, DownloadError as `fetch` does. Source: Sitzmann et al. 2020, section 4.
    """
    if name not in SIREN_CLIPS:
        raise ValueError(f"There is no clip {name!r}; there are {', '.join(SIREN_CLIPS)}.")
    return read_wav(fetch(SIREN_CLIPS[name], progress))
