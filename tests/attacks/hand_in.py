"""Write the corpus and its honest neighbours as they would be handed in: `python -m tests.attacks.hand_in FOLDER`.

Then: `autograder collect attention FOLDER`, `autograder grade attention`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from autograder.course import Course
from tests.attacks import corpus
from tests.attacks.attack import Attack, File, lay
from tests.attacks.kit import ASSIGNMENT, Kit, Places
from tests.attacks.neighbours import honest


def hand_in(folder: Path, kit: Kit, attacks: Iterable[Attack]) -> None:
    """Lay the attacks and all neighbours into `folder`."""
    lay([File(f"{who}.ipynb", text) for who, text in honest(kit).items()], folder)
    for attack in attacks:
        lay(attack.items(kit), folder)


def main(argv: list[str] | None = None) -> None:
    """Write them; nothing listens at the addresses that the attacks try."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks.hand_in", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("attacks", nargs="*", help="names of attacks or categories (default: all)")
    parser.add_argument("--course", help="the course folder (default: $COURSE_DIR, else ./course)")
    options = parser.parse_args(argv)
    course = Course.at(options.course)
    course.require(ASSIGNMENT)
    home = Path.home()
    places = Places(course.root, home, home / "secret", "no secret", "NO_SECRET", 9, home / "no-socket", "no-name")
    chosen = corpus.chosen(options.attacks)
    hand_in(options.folder, Kit.of(course.root, places), chosen)
    print(f"{len(chosen)} attacks and their honest neighbours: {options.folder}")


if __name__ == "__main__":
    main()
