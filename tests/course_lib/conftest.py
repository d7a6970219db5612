"""What the tests of the library share."""

from collections.abc import Iterator

import pytest

from course_lib.recipes._common import threads


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors are not worth sharing out among threads, least of all on a busy machine."""
    with threads(1):
        yield
