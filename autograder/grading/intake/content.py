"""The content of one piece of work: what of its files is taken, read under limits."""

from __future__ import annotations

from autograder.grading.intake.work import Work
from autograder.grading.rebuild.beside import MAX_FILES, MAX_TOTAL, SKIPPED, Gathered, odd_name, summary
from autograder.grading.rebuild.notebook import MAX_BYTES, Unreadable, read_bytes, read_cells


def content_of(work: Work, assignment: str) -> tuple[dict[str, bytes], list[str]]:
    """The files to store, the notebook under the assignment's name, and notes on what was left out.

    Raises:
        Unreadable: the notebook cannot be read.
    """
    notebook = read_bytes(work.files[work.notebook].path)
    read_cells(notebook)
    name = f"{assignment}.ipynb"
    folded = {name.casefold()}
    gathered = Gathered()
    for relative, file in sorted(work.files.items()):
        if relative == work.notebook or set(relative.split("/")) & SKIPPED:
            continue
        why = file.problem or odd_name(relative)
        if not why and relative.lower().endswith(".ipynb"):
            why = "it is another notebook"
        if not why and relative.casefold() in folded:
            why = "another file has the same name but for capitals"
        gathered.take(relative, file.path, why)
        if relative in gathered.files:
            folded.add(relative.casefold())
    return {name: notebook} | gathered.files, summary(gathered.notes)


def keepable(work: Work) -> dict[str, bytes]:
    """What can be kept of work that cannot be taken: regular files of ordinary size."""
    files: dict[str, bytes] = {}
    left = MAX_BYTES + MAX_TOTAL
    for relative, file in list(sorted(work.files.items()))[:MAX_FILES]:
        if not file.problem:
            try:
                files[relative] = read_bytes(file.path, min(MAX_BYTES, left))
            except Unreadable:
                continue  # it is what the reason is about, or no larger than what is named there
            left -= len(files[relative])
    return files
