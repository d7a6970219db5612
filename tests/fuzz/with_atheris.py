"""Fuzz for as long as you like, guided by coverage: `python -m tests.fuzz.with_atheris TARGET [options of libFuzzer]`.

TARGET is message, notebook or archive. It needs `pip install atheris`, which nothing else here does.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["autograder", "zipfile", "tarfile", "json"]):
    from tests.fuzz import targets

TARGETS = {"message": targets.message, "notebook": targets.notebook, "archive": targets.archive}


def main() -> None:
    """Hand the options after the target's name to libFuzzer."""
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
