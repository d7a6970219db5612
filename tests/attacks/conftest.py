from __future__ import annotations

from typing import Any

import pytest

from tests.attacks import corpus, isolated


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One run of the isolated grader over the whole corpus and its honest neighbours."""
    return isolated.run(tmp_path_factory.mktemp("attacks"), corpus.all_attacks())
