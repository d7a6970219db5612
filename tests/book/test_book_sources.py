"""The book's pages, glossary and references fit together before anything is built."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import preexecute
import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
BOOK = REPOSITORY / "book"
TEXTS = sorted(p for p in BOOK.rglob("*.md") if not {"_build", "solutions"} & set(p.relative_to(BOOK).parts))


def glossary_terms() -> list[str]:
    body = (BOOK / "glossary.md").read_text().split("```{glossary}")[1].rsplit("```", 1)[0]
    return [line for line in body.splitlines() if line and not line.startswith(" ")]


def reference_keys() -> list[str]:
    return re.findall(r"^@\w+\{([^,]+),", (BOOK / "references.bib").read_text(), re.M)


def test_every_page_is_listed_and_every_listed_page_has_a_source() -> None:
    listed = preexecute.page_files(BOOK)
    assert {p.relative_to(BOOK).with_suffix("").as_posix() for p in TEXTS} <= set(listed)
    for name, path in listed.items():
        # a student notebook is made from its source by a command
        made_from = REPOSITORY / "solutions" / f"{Path(name).name}.md"
        assert path or (name.startswith("assignments/") and made_from.exists()), name


def test_glossary_has_each_term_once_and_in_order() -> None:
    terms = [t.casefold() for t in glossary_terms()]
    assert len(terms) == len(set(terms)) > 30
    # a second name stands under the first; the first names are in order
    body = (BOOK / "glossary.md").read_text().split("```{glossary}")[1].rsplit("```", 1)[0]
    first = [entry.splitlines()[0].casefold() for entry in re.split(r"\n\n(?=\S)", body.strip())]
    assert first == sorted(first)


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: p.relative_to(BOOK).as_posix())
def test_terms_and_citations_exist(path: Path) -> None:
    text = path.read_text()
    terms = {t.casefold() for t in glossary_terms()}
    used = re.findall(r"\{term\}`(?:[^`<]*<([^>]+)>|([^`<]+))`", text)
    assert {(a or b).strip().casefold() for a, b in used} <= terms
    cited = {k.strip() for keys in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", text) for k in keys.split(",")}
    assert cited <= set(reference_keys())


def test_references_are_complete_and_distinct() -> None:
    entries = re.split(r"^(?=@)", (BOOK / "references.bib").read_text(), flags=re.M)[1:]
    assert len(reference_keys()) == len(set(reference_keys())) == len(entries)
    for entry in entries:
        for wanted in ("author", "title", "year"):
            assert re.search(rf"^\s*{wanted}\s*=\s*\{{.+\}}", entry, re.M), (wanted, entry)


def test_every_citation_of_a_paper_leads_to_it() -> None:
    titles = re.findall(r"^\s*title = \{(.+)\},?$", (BOOK / "references.bib").read_text(), re.M)
    assert len({t.casefold() for t in titles}) == len(titles)


def test_settings_name_no_place_and_run_no_student_notebook() -> None:
    settings = yaml.safe_load((BOOK / "_config.yml").read_text())
    launch = settings["sphinx"]["config"]["course_launch"]
    assert not any(launch[k] for k in ("repository", "colab", "binder", "jupyterhub"))
    assert settings["execute"]["exclude_patterns"] == ["assignments/*", "solutions/*"]
    assert not list((BOOK / "_static").rglob("*.js")), "a script in _static would be put on every page"


def test_scripts_of_widgets_are_installed_with_the_package() -> None:
    patterns = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert {"**/*.js", "**/*.css"} <= set(patterns["course_lib"])


@pytest.mark.parametrize("path", sorted((BOOK / "chapters").glob("*.md")), ids=lambda p: p.stem)
def test_code_that_is_shown_fits_between_the_sidebars(path: Path) -> None:
    cells = re.findall(r"```\{code-cell\} ipython3\n(.*?)\n```", path.read_text(), re.S)
    shown = [line for cell in cells if "hide-input" not in cell for line in cell.splitlines()]
    assert len(shown) > 50 and [line for line in shown if len(line) > 84] == []
