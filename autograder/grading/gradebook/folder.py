"""A submission's folder in autograded/ or feedback/: made beside its place, then put there as a whole."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

from autograder.course import CourseError
from autograder.grading.disk import remove, sync
from autograder.grading.gradebook.files import Rules, copy, is_page, regular_files

log = logging.getLogger(__name__)


def draft_of(target: Path) -> Path:
    """Where the new folder is made. nbgrader's own globs never see a name that begins with a dot."""
    return target.with_name(f".{target.name}.new")


def old_of(target: Path) -> Path:
    """Where the folder that was there before waits to be deleted."""
    return target.with_name(f".{target.name}.old")


def make(target: Path, made: dict[str, bytes], others: Path, rules: Rules) -> None:
    """Write the draft of `target`: the files that were made and, as nbgrader has it, other files of the submission.

    A file of the assignment's own source replaces the student's of the same name. Links and devices are never
    followed or copied, and no pages of a student's. When this returns, all of it is on the disk, if the rules ask for
    that.

    Raises:
        CourseError: the disk is full, or may not be written; nothing is left of the draft then.
    """
    draft = draft_of(target)
    try:
        first = not target.parent.is_dir()
        target.parent.mkdir(parents=True, exist_ok=True)
        remove(draft)
        draft.mkdir(mode=0o755)
        for name, content in made.items():
            (draft / name).write_bytes(content)
        kept = [draft / name for name in made]
        for source, exempt in ((rules.master, rules.keep), (others, frozenset())):
            if source is None:
                continue
            for path in regular_files(source, rules):
                if source is others and is_page(path.name):
                    log.warning("%s was not copied: opened in formgrader, it could run scripts there", path)
                    continue
                place = draft / path.relative_to(source)
                if str(path.relative_to(source)) not in exempt and copy(path, place):
                    kept.append(place)
        for path in kept:
            path.chmod(rules.mode)
        folders = [draft, *(p for p in draft.rglob("*") if p.is_dir())]
        if rules.shared:
            for folder in [*folders, target.parent, rules.root]:
                share(folder)
        if rules.durable:
            sync(kept + folders + ([target.parent.parent] if first else []))
    except OSError as error:
        discard(target)
        raise trouble(target, error) from error
    except BaseException:
        discard(target)
        raise


def put(target: Path, rules: Rules) -> None:
    """Rename the draft of `target` into its place; the folder that was there is renamed away first, then deleted.

    A kill between the two renames leaves the old folder and the draft, both whole: `heal` goes on from there.
    """
    old = old_of(target)
    try:
        if os.path.lexists(target):
            remove(old)
            target.rename(old)
        draft_of(target).rename(target)
        if rules.durable:
            sync([target.parent])
        remove(old)
    except OSError as error:
        raise trouble(target, error) from error


def discard(target: Path) -> None:
    """Remove the draft, and the student's folder if nothing else is in it; what cannot be removed is left to `heal`."""
    try:
        remove(draft_of(target))
        if target.parent.is_dir() and not any(target.parent.iterdir()):
            target.parent.rmdir()
    except OSError as error:
        log.warning("%s could not be removed: %s", draft_of(target), error)


def heal(step: Path, assignment: str) -> None:
    """Put right what a killed run left between its steps in `step`, the course's autograded/ or feedback/.

    Where the place is empty and both folders wait, all that goes before the renaming is done: the draft goes in. Where
    a draft waits alone, nobody knows whether it is: it is removed, and the submission has to be written again.
    """
    for old in step.glob(f"*/.{assignment}.old"):
        target = old.with_name(assignment)
        if not target.exists():
            (draft_of(target) if draft_of(target).exists() else old).rename(target)
            sync([target.parent])
        remove(old)
    for draft in step.glob(f"*/.{assignment}.new"):
        discard(draft.with_name(assignment))


def share(folder: Path) -> None:
    """Let the group write, as CourseDirectory.groupshared asks."""
    mode = folder.stat().st_mode
    if mode & 0o2770 != 0o2770:
        try:
            folder.chmod((mode | 0o2770) & 0o2777)
        except PermissionError:
            log.warning("%s could not be made writable for the group", folder)


def trouble(target: Path, error: OSError) -> CourseError:
    """The sentence for what the file system refused."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return CourseError(f"The disk is full: {target} could not be written. Make room and grade again.")
    return CourseError(f"{target} could not be written ({error.strerror}). Put that right and grade again.")
