from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from classroom import RIGHT, SOURCES, best_tier, notebook

from autograder.cli import main
from autograder.course import Course, hide_password

COMMANDS = "release check collect grade feedback export serve lint mistakes sample-class course doctor".split()


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    status = main(list(arguments))
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return status, out, err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(capsys, command: str) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0 and "--course" in capsys.readouterr().out


def test_it_starts_quickly_because_it_imports_little() -> None:
    code = (
        "import sys, autograder.cli; autograder.cli.parser(); print(sorted({'torch', 'nbgrader'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["grade", "attention"], "Make it with `autograder release attention`"),
        (["feedback", "attention"], "Make it with `autograder release attention`"),
        (["export", "attention"], "Make it with `autograder release attention`"),
        (["collect", "attention", "."], "Make it with `autograder release attention`"),
        (["sample-class"], "Make it with `autograder release attention`"),
        (["serve"], "is not a course folder yet"),
        (["release", "cooking"], "There is no source for cooking"),
        (["release", "--solutions", "nowhere"], "There is no source for any assignment"),
        (["mistakes", "cooking"], "no assignment is called 'cooking'"),
        (["release", "--db", "nonsense"], "is not a database address"),
        (["release", "--db", "nosuchkind://x/y"], "is not a database address"),
        (["release", "--db", "sqlite:////nowhere/at/all.db"], "cannot be opened"),
    ],
)
def test_expected_trouble_is_a_sentence_and_status_2(capsys, tmp_path, arguments, sentence) -> None:
    status, _, err = run(capsys, *arguments, "--course", str(tmp_path / "course"))
    assert status == 2 and err.startswith("autograder: ") and sentence in err


def test_a_postgres_that_does_not_answer_is_a_sentence_without_the_password(capsys, tmp_path) -> None:
    url = "postgresql://ada:secret@127.0.0.1:1/grades"
    status, out, err = run(capsys, "release", "--course", str(tmp_path / "c"), "--db", url)
    assert status == 2 and "secret" not in out + err
    assert "psycopg" in err or "cannot be opened" in err  # with or without the driver


def test_the_database_address_reaches_nbgrader_and_stays(capsys, tmp_path) -> None:
    url = "postgresql://ada:secret@db.example/grades"
    assert Course.at(tmp_path, url).coursedir().db_url == url
    assert hide_password(url) == "postgresql://ada:***@db.example/grades"
    other = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    folder = str(tmp_path / "course")
    assert run(capsys, "release", "--course", folder, "--solutions", str(SOURCES), "--db", other)[0] == 0
    assert (tmp_path / "elsewhere.db").exists() and not (tmp_path / "course" / "gradebook.db").exists()
    # The folder remembers it, for later commands and for nbgrader's own; others cannot read it.
    assert Course.at(folder).coursedir().db_url == other
    assert (tmp_path / "course" / "nbgrader_config.py").stat().st_mode & 0o077 == 0


def test_the_course_folder_is_found(monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COURSE_DIR", raising=False)
    assert Course.at().root == tmp_path / "course"
    monkeypatch.setenv("COURSE_DIR", str(tmp_path / "mine"))
    assert Course.at().root == tmp_path / "mine"
    assert Course.at("x").root == tmp_path / "x"


def test_a_broken_configuration_is_a_sentence(capsys, course: Course) -> None:
    course.config_file.write_text("c.this is not python")
    status, _, err = run(capsys, "feedback", "attention", "--course", str(course.root))
    assert status == 2 and "nbgrader_config.py cannot be read" in err


def test_from_release_to_csv(capsys, tmp_path) -> None:
    where = ["--course", str(tmp_path / "course")]
    status, out, _ = run(capsys, "release", "--solutions", str(SOURCES), *where)
    assert status == 0 and "attention: released" in out
    status, out, _ = run(capsys, "release", "--solutions", str(SOURCES), *where)
    assert status == 0 and "attention: unchanged" in out
    box = tmp_path / "in"
    box.mkdir()
    release = tmp_path / "course" / "release" / "attention"
    nbformat.write(notebook(release, RIGHT), box / "ada.ipynb")
    (box / "bela.ipynb").write_text("{")
    status, out, _ = run(capsys, "collect", "attention", str(box), *where)
    assert status == 0 and "1 submissions" in out and "kept aside for a person: bela" in out
    status, out, err = run(capsys, "grade", "attention", *where)
    assert status == 0 and "1 graded" in out and "for a person to look at: bela" in out
    assert f"Student code runs isolated (tier: {best_tier()})." in err and f"Isolation: {best_tier()}." in out
    status, out, _ = run(capsys, "grade", "attention", *where)
    assert status == 0 and "0 graded" in out and "1 unchanged" in out
    status, out, err = run(capsys, "grade", "attention", "--isolation", "none", "--force", *where)
    assert status == 0 and "1 graded" in out and "without isolation (tier: none)" in err
    status, out, _ = run(capsys, "grade", "attention", "--only", "softmax", *where)
    # what was graded without isolation is not left at that
    assert status == 0 and "1 graded" in out and f"Isolation: {best_tier()}." in out
    status, out, _ = run(capsys, "feedback", "attention", *where)
    assert status == 0 and Path(out.split("Feedback: ")[1].strip()).is_file()
    target = tmp_path / "out.csv"
    status, out, _ = run(capsys, "export", "attention", "--to", str(target), *where)
    assert status == 0 and "2 lines" in out and "ada,graded,5.0,5.0," in target.read_text()
    status, out, _ = run(capsys, "export", "attention", "--long", "--to", "-", *where)
    assert status == 0 and "ada,graded,softmax,5.0,5.0,no,," in out


def test_doctor_says_what_there_is(capsys, course: Course, monkeypatch) -> None:
    status, out, _ = run(capsys, "doctor", "--course", str(course.root))
    assert status == 0
    for part in ("python", "torch", "nbgrader", "alembic", "namespaces", "bwrap", "container"):
        assert part in out
    assert f"(tier: {best_tier()})" in out
    monkeypatch.setenv("PATH", str(course.root))
    _, out, _ = run(capsys, "doctor", "--course", str(course.root))
    assert "chromium     missing" in out and "install the package bubblewrap" in out


def test_a_port_in_use_is_a_sentence(capsys, course: Course) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, _, err = run(capsys, "serve", "--port", str(port), "--course", str(course.root))
    assert status == 2 and f"Port {port} is in use" in err


def test_output_that_nobody_reads_is_no_error(course: Course) -> None:
    program = Path(sys.executable).parent / "autograder"
    line = f"{program} doctor --course {course.root} | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, env=dict(os.environ, PYTHONUNBUFFERED="1")
    )
    assert done.stdout.strip().endswith("0") and "Traceback" not in done.stderr
