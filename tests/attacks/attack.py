"""What an attack is: something to hand in, and what must come of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.attacks.kit import Kit

FULL, ZERO = "full", "zero"
TARGET = "gram_attention"  # the question that most attacks are about: three come before it and five after
AFTER_TARGET = ("split_heads", "MultiHeadAttention", "LayerNorm", "TransformerBlock", "is_permutation_equivariant")
Points = str | float | tuple[float, float]


@dataclass(frozen=True)
class File:
    """A regular file; `modified` is its time stamp in seconds since 1970."""

    path: str
    content: bytes | str
    modified: float | None = None


@dataclass(frozen=True)
class Link:
    """A symbolic link, or a hard one."""

    path: str
    target: str
    hard: bool = False


@dataclass(frozen=True)
class Pipe:
    """A named pipe: whoever opens it to read waits for ever."""

    path: str


@dataclass(frozen=True)
class Sparse:
    """A file of `size` bytes that takes no room on the disk."""

    path: str
    size: int


@dataclass(frozen=True)
class Folder:
    """An empty folder."""

    path: str


Item = File | Link | Pipe | Sparse | Folder
Handed = str | bytes | list[Item]


@dataclass(frozen=True)
class Required:
    """What must come of an attack.

    `graded` is True (a grade), False (for a person, no grade) or None (either, but nothing else). `points` holds the
    questions that are not worth full marks: full, zero, a number, or a range. Every question that loses points must
    show a reason; `reasons` and `problem` list words one of which must stand in it. `notes` must all be there.
    """

    graded: bool | None = True
    points: Mapping[str, Points] = field(default_factory=dict)
    reasons: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    problem: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    essay: bool = True  # whether the written answer waits for a person


@dataclass(frozen=True)
class Attack:
    """One hostile, broken or unlucky submission.

    `make` builds it: the text or bytes of a notebook, or a list of things to lay into the folder that is collected.
    `student` is the id under which the course must know it; `group` names the module of the corpus.
    """

    name: str
    what: str
    make: Callable[[Kit], Handed]
    required: Required
    student: str = ""

    @property
    def who(self) -> str:
        """The student's id."""
        return self.student or self.name

    def items(self, kit: Kit) -> list[Item]:
        """What is handed in, as things to lay into a folder."""
        made = self.make(kit)
        return made if isinstance(made, list) else [File(f"{self.name}.ipynb", made)]


def safe() -> Required:
    """Nothing lost: full marks for every question, and the essay waits for a person."""
    return Required()


def noted(*notes: str) -> Required:
    """Full marks, and the student is told what was put right."""
    return Required(notes=notes)


def loses(*words: str, question: str = TARGET, points: Points = ZERO, notes: tuple[str, ...] = ()) -> Required:
    """One question loses its points, for a reason with one of these words; all others keep theirs."""
    return Required(points={question: points}, reasons={question: words} if words else {}, notes=notes)


def poisons(*words: str) -> Required:
    """The question gets nothing, those before it keep all; its author has spoilt the process for those after it."""
    later = {question: (0.0, 99.0) for question in AFTER_TARGET}
    return Required(points={TARGET: ZERO, **later}, reasons={TARGET: words} if words else {})


def person(*words: str) -> Required:
    """No grade but a person's look, for a reason with one of these words."""
    return Required(graded=False, problem=words)


def either(*words: str) -> Required:
    """Full marks, or a person's look for a reason with one of these words."""
    return Required(graded=None, problem=words)


def nothing(*, essay: bool = False) -> Required:
    """No answer is there: zero for every question, as it would be without the attack."""
    return Required(points={"*": ZERO}, essay=essay)


def lay(items: list[Item], folder: Path) -> None:
    """Write what is handed in into `folder`."""
    for item in items:
        path = folder / item.path
        path.parent.mkdir(parents=True, exist_ok=True)
        match item:
            case File(content=content, modified=modified):
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
                if modified is not None:
                    os.utime(path, (modified, modified))
            case Link(target=target, hard=True):
                os.link(target, path)
            case Link(target=target):
                path.symlink_to(target)
            case Pipe():
                os.mkfifo(path)
            case Sparse(size=size):
                with path.open("wb") as file:
                    file.truncate(size)
            case Folder():
                path.mkdir(exist_ok=True)
