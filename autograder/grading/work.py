"""Sort files found into pieces of work, each one student's: its notebook, what lies beside it, and whose it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from autograder.grading.archives import OTHERS, is_archive, stem
from autograder.grading.found import Found
from autograder.grading.students import Owner, from_file, from_platform, is_assignment

# names of a whole class's archive, from which no student can be told
COLLECTIVE = {"submissions", "submission", "download", "downloads", "archive", "files", "all", "handed-in", "export"}

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
        """The pieces of work in a folder or archive called `name`.

        A file or folder called as a learning platform calls it is the student's named there. Else a folder is its
        student's if there is one notebook in it, or one called like the assignment; a folder of several is a group,
        in which each file is the student's it is named after. An archive with one notebook in it is the student's it is
        named after, which `personal` says that it can be.
        """
        notebooks = [file for file in files if is_notebook(file)]
        tops = {file.parts[0] for file in files}
        platform = any(from_platform(stem(top).removesuffix(".ipynb")) for top in tops)
        alone = len(notebooks) <= 1 and not archives_elsewhere(files, notebooks)
        if personal and not platform and alone and name.casefold() not in COLLECTIVE:
            return [self.one(Owner(name), files, name)]
        if not platform and len(notebooks) == 1 and notebooks[0].parts[:-1] == ():
            only = notebooks[0]
            if not from_file(Path(only.name).stem, self.assignment) and not any(is_archive(f.name) for f in files):
                return [self.one(Owner(name), files, name)]
        works: dict[str, list[Found]] = {}
        owners: dict[str, Owner] = {}
        done: list[Work] = []
        for top in sorted(tops):
            inside = [file for file in files if file.parts[0] == top]
            single = len(inside) == 1 and inside[0].parts == (top,)
            owner = from_platform(top if not single else stem(top) if is_archive(top) else Path(top).stem)
            if owner:
                # a platform may put several files or folders of one student side by side
                owners.setdefault(owner.identity, owner)
                below = [replace(f, parts=f.parts[1:] or (own_name(owner, top),)) for f in inside]
                works.setdefault(owner.identity, []).extend(below)
            elif single:
                done += self.file(inside[0], name)
            else:
                done += self.folder([replace(f, parts=f.parts[1:] or f.parts) for f in inside], top, name)
        return [*(self.one(owners[key], found, owners[key].name) for key, found in works.items()), *done]

    def file(self, file: Found, folder: str) -> list[Work]:
        """The work in a file that lies beside others' work."""
        if is_archive(file.name) and not file.problem:
            inside, problem = self.open_archive(file)
            own = from_file(stem(file.name), self.assignment)
            if not problem:
                return self.sort(inside, own or folder, personal=bool(own))
            return [Work(Owner(own or folder), file.source, file.path, files={file.name: file}, problem=problem)]
        label = from_file(Path(file.name).stem, self.assignment) or folder
        return [self.one(Owner(label), [file], file.name)]

    def folder(self, files: list[Found], name: str, above: str) -> list[Work]:
        """The work in a folder that lies beside others' work."""
        owner = Owner(above if is_assignment(name, self.assignment) else name)
        notebooks = [file for file in files if is_notebook(file)]
        named = [file for file in notebooks if is_assignment(file.name, self.assignment)]
        for chosen in (notebooks, named):
            if len(chosen) == 1 and not archives_elsewhere(files, chosen):
                return [self.one(owner, files, name)]
        if not notebooks and sum(is_archive(file.name) for file in files) <= 1:
            return [self.one(owner, files, name)]
        return self.sort(files, owner.name)

    def one(self, owner: Owner, files: list[Found], name: str) -> Work:
        """One student's work: archives in it are unpacked, and its notebook is found."""
        flat: list[Found] = []
        notes = [owner.note] if owner.note else []
        packed = not any(map(is_notebook, files))  # beside a notebook an archive is data
        for file in files:
            opened = packed and is_archive(file.name) and not file.problem
            inside, problem = self.open_archive(file) if opened else ([], "")
            if problem:
                flat.append(replace(file, problem=problem))
            elif inside:
                flat += [replace(member, parts=(*file.parts[:-1], *member.parts)) for member in inside]
            else:
                flat.append(file)
        notebooks = [file for file in flat if is_notebook(file)]
        named = [file for file in notebooks if is_assignment(file.name, self.assignment)]
        chosen = named if len(named) == 1 else notebooks
        work = Work(owner, flat[0].source, flat[0].path, notes=tuple(notes))
        if len(chosen) != 1:
            everything = {"/".join(file.parts): file for file in flat}
            if len(chosen) > 1:
                problem = "it has several notebooks, and none or more than one is called like the assignment: " + (
                    ", ".join(sorted(file.source.rsplit("/", 1)[-1] for file in chosen)[:5])
                )
            else:
                problem = next((f"{f.name}: {f.problem}" for f in flat if f.problem), "") or no_notebook(flat)
            return replace(work, files=everything, problem=problem)
        (notebook,) = chosen
        base = notebook.parts[:-1]
        # names are relative to the notebook's folder, from where its code looks for them
        below = {"/".join(f.parts[len(base) :]): f for f in flat if f.parts[: len(base)] == base}
        if len(below) < len(flat):
            notes.append(f"{len(flat) - len(below)} files outside of the notebook's folder were left out")
        problem = f"{notebook.name}: {notebook.problem}" if notebook.problem else ""
        return Work(owner, notebook.source, notebook.path, notebook.name, below, problem, tuple(notes))


def is_notebook(file: Found) -> bool:
    return file.name.lower().endswith(".ipynb")


def archives_elsewhere(files: list[Found], notebooks: list[Found]) -> list[Found]:
    """The archives that do not lie beside or below the notebook: they hold other work, and not its data."""
    base = notebooks[0].parts[:-1] if notebooks else None
    return [file for file in files if is_archive(file.name) and (base is None or file.parts[: len(base)] != base)]


def own_name(owner: Owner, name: str) -> str:
    """A file's own name: what stands behind the platform's part of it."""
    return owner.rest + name[len(Path(name).stem) :] if owner.rest and not is_archive(name) else name


def no_notebook(files: list[Found]) -> str:
    """Why there is no work in these files."""
    if len(files) == 1:
        name = files[0].name
        return f"{name} is not a notebook" + ("; unpack it first" if OTHERS.search(name) or is_archive(name) else "")
    return f"there is no notebook among its {len(files)} files"
