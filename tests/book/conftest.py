"""The book's own scripts and extensions are not a package; the tests import them from where they are."""

import sys
from pathlib import Path

BOOK = Path(__file__).resolve().parents[2] / "book"
sys.path[:0] = [str(BOOK), str(BOOK / "_ext")]
