"""Sort files found into pieces of work, each one student's: its notebook, what lies beside it, and whose it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from autograder.grading.intake.archives import OTHERS, is_archive, stem
from autograder.grading.intake.found import Found, printable
from autograder.grading.intake.students import Owner, from_file, from_platform, is_assignment

# names of a whole class's archive, from which no student can be told
COLLECTIVE = {"submissions", "submission", "download", "downloads", "archive", "files", "all", "handed-in", "export"}

MAX_ARCHIVES = 5  # of one student

Open = Callable[[Found], tuple[list[Found], str]]


@dataclass(frozen=True)
class Work:
    """One piece of work: its files by relative name, of which `notebook` is one, and why it cannot be taken, or ""."""

    owner: Owner
    source: str
    path: Path
    notebook: str = ""
    files: dict[str, Found] = field(default_factory=dict)
    problem: str = ""
    notes: tuple[str, ...] = ()

    @property
    def when(self) -> float | None:
        """When the notebook was last changed, if that is known."""
        return self.files[self.notebook].when if self.notebook else None

    @property
    def packed(self) -> bool:
        """Whether the notebook comes out of an archive."""
        return bool(self.notebook and self.files[self.notebook].level)


class Sorter:
    """Sorts what was handed in for one assignment; `open_archive` unpacks an archive and says why if it cannot."""

    def __init__(self, assignment: str, open_archive: Open) -> None:
        self.assignment, self.open_archive = assignment, open_archive

    def sort(self, files: list[Found], name: str, personal: bool = False) -> list[Work]:
        """The pieces of work in a folder, or in an archive of a whole class, called `name`.

        A file or folder called as a learning platform calls it is the student's named there. Else a folder is its
        student's if there is one notebook in it, or one called like the assignment, and so are the folders beside
        it; folders of several notebooks alone are groups, in which each file is the student's it is named after.
        With `personal` the archive itself may be one student's: it is if there is one notebook in it.

        An archive in a folder or in another archive is always one student's, whatever names are in it, so that
        nobody can hand in under another's name.
        """
        notebooks = [file for file in files if is_notebook(file)]
        tops: dict[str, list[Found]] = {}
        for file in files:
            tops.setdefault(file.parts[0], []).append(file)
        owners = {top: owner for top in tops if (owner := from_platform(bare(top, len(tops[top][0].parts) == 1)))}
        if not owners and name.casefold() not in COLLECTIVE and personal and self.is_one(files):
            return [self.one(Owner(name), files)]
        if not owners and len(notebooks) == 1 and len(notebooks[0].parts) == 1 and self.is_one(files):
            if not from_file(Path(notebooks[0].name).stem, self.assignment):
                return [self.one(Owner(name), files)]
        # a platform may put several files or folders of one student side by side
        works: dict[str, tuple[Owner, list[Found]]] = {}
        for top, owner in owners.items():
            below = [replace(f, parts=f.parts[1:] or (own_name(owner, top),)) for f in tops.pop(top)]
            works.setdefault(owner.identity, (owner, []))[1].extend(below)
        done = [self.one(owner, found) for owner, found in works.values()]
        folders = {
            top: [replace(file, parts=file.parts[1:]) for file in inside]
            for top, inside in sorted(tops.items())
            if len(inside[0].parts) > 1
        }
        for top in sorted(tops.keys() - folders.keys()):
            file = tops[top][0]
            done.append(self.one(Owner(from_file(bare(top, True), self.assignment) or name), [file]))
        students = any(self.is_one(inside) for inside in folders.values())
        for top, inside in folders.items():
            owner = Owner(name if is_assignment(top, self.assignment) else top)
            work = any(is_notebook(file) or is_archive(file.name) for file in inside)
            done += [self.one(owner, inside)] if students or not work else self.sort(inside, owner.name)
        return done

    def is_one(self, files: list[Found]) -> bool:
        """Whether these files can be one student's work: one notebook, or one called like the assignment, or one
        archive; other archives only beside or below the notebook, as its data."""
        notebooks = [file for file in files if is_notebook(file)]
        named = [file for file in notebooks if is_assignment(file.name, self.assignment)]
        archives = [file for file in files if is_archive(file.name)]
        for chosen in (notebooks, named):
            if len(chosen) == 1:
                base = chosen[0].parts[:-1]
                return all(file.parts[: len(base)] == base for file in archives)
        return not notebooks and len(archives) == 1

    def one(self, owner: Owner, files: list[Found]) -> Work:
        """One student's work: archives in it are unpacked unless they are a notebook's data, and the notebook found."""
        notes = [owner.note] if owner.note else []
        flat, problem = self.flatten(files)
        work = Work(owner, flat[0].source, flat[0].path, notes=tuple(notes))
        notebooks = [file for file in flat if is_notebook(file)]
        sound = [file for file in notebooks if not file.problem] or notebooks
        named = [file for file in sound if is_assignment(file.name, self.assignment)]
        exact = [file for file in named if file.name == f"{self.assignment}.ipynb"]
        chosen = next((found for found in (exact, named, sound) if len(found) == 1), [])
        if not chosen:
            names = ", ".join(sorted("/".join(file.parts) for file in sound)[:5])
            if sound:
                problem = f"it has two or more notebooks, and nothing says which one counts: {names}"
                if any(file.level for file in sound):
                    problem += ". If this is a whole class's archive, collect it by its own path"
            problem = problem or next((f"{f.name}: {f.problem}" for f in flat if f.problem), "") or no_notebook(flat)
            return replace(work, files={"/".join(file.parts): file for file in flat}, problem=printable(problem, 400))
        (notebook,) = chosen
        base = notebook.parts[:-1]
        # names are relative to the notebook's folder, from where its code looks for them
        below = {"/".join(f.parts[len(base) :]): f for f in flat if f.parts[: len(base)] == base}
        if len(below) < len(flat):
            notes.append(f"{len(flat) - len(below)} files outside of the notebook's folder were left out")
        problem = printable(f"{notebook.name}: {notebook.problem}") if notebook.problem else ""
        return Work(owner, notebook.source, notebook.path, notebook.name, below, problem, tuple(notes))

    def flatten(self, files: list[Found]) -> tuple[list[Found], str]:
        """One student's files with archives unpacked, unless a notebook lies beside them, and what hindered it.

        Of members of one name the last counts, as for any program that unpacks them.
        """
        flat = files
        while not any(map(is_notebook, flat)):
            archives = [file for file in flat if is_archive(file.name) and not file.problem]
            if len(archives) > MAX_ARCHIVES:
                return flat, f"it has {len(archives)} archives in it, more than the {MAX_ARCHIVES} that are unpacked"
            if not archives:
                break
            flat = [inside for file in flat for inside in (self.opened(file) if file in archives else [file])]
        return list({file.parts: file for file in flat}.values()), ""

    def opened(self, file: Found) -> list[Found]:
        """What is in an archive; the archive itself with its problem if it cannot be unpacked."""
        inside, problem = self.open_archive(file)
        if problem:
            return [replace(file, problem=problem)]
        return [replace(member, parts=(*file.parts[:-1], *member.parts)) for member in inside]


def is_notebook(file: Found) -> bool:
    return file.name.lower().endswith(".ipynb")


def bare(name: str, is_file: bool) -> str:
    """The name of a file without its ending; that of a folder as it is."""
    return name if not is_file else stem(name) if is_archive(name) else Path(name).stem


def own_name(owner: Owner, name: str) -> str:
    """A file's own name: what stands behind the platform's part of it."""
    return owner.rest + name[len(Path(name).stem) :] if owner.rest and not is_archive(name) else name


def no_notebook(files: list[Found]) -> str:
    """Why there is no work in these files."""
    if len(files) == 1:
        name = files[0].name
        return f"{name} is not a notebook" + ("; unpack it first" if OTHERS.search(name) or is_archive(name) else "")
    return f"there is no notebook among its {len(files)} files"
