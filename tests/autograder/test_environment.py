from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autograder import environment
from autograder.course import REPOSITORY
from autograder.environment import Trouble

SCRIPT = REPOSITORY / "autograder" / "environment.py"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository in small, with nothing to install."""
    (tmp_path / "tests").mkdir()
    for name in ("requirements.txt", "tests/requirements.txt"):
        (tmp_path / name).write_text("# nothing\n")
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    return tmp_path


def test_it_uses_nothing_but_the_standard_library() -> None:
    # It runs before anything is installed, and an old Python must be able to parse it to be told that it is old.
    tree = ast.parse(SCRIPT.read_text(), feature_version=(3, 7))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in imports if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


def test_an_old_python_is_told_which_is_needed() -> None:
    with pytest.raises(Trouble, match=r"This is Python 3.9; the course needs 3.11 or later. .*PYTHON="):
        environment.check_python((3, 9, 1))
    environment.check_python((3, 11, 0))


def test_quick_when_nothing_changed(root: Path, monkeypatch) -> None:
    venv = root / ".venv"
    calls: list[str] = []
    monkeypatch.setattr(environment, "make_venv", make_empty)
    monkeypatch.setattr(environment, "install", lambda root, venv, names: calls.append(names))
    assert environment.make_environment(root, venv) and calls == [["requirements.txt"]]
    assert not environment.make_environment(root, venv) and len(calls) == 1
    (root / "requirements.txt").write_text("torch\n")
    assert environment.make_environment(root, venv) and len(calls) == 2


def test_the_tests_packages_come_on_top_and_stay(root: Path, monkeypatch) -> None:
    venv = root / ".venv"
    calls: list[list[str]] = []
    monkeypatch.setattr(environment, "make_venv", make_empty)
    monkeypatch.setattr(environment, "install", lambda root, venv, names: calls.append(names))
    environment.make_environment(root, venv)
    assert environment.make_environment(root, venv, tests=True)
    assert calls == [["requirements.txt"], ["requirements.txt", "tests/requirements.txt"]]
    assert not environment.make_environment(root, venv, tests=True) and not environment.make_environment(root, venv)
    (root / "tests/requirements.txt").write_text("pytest==1\n")
    assert environment.make_environment(root, venv, tests=True)


def make_empty(venv: Path) -> None:
    """An environment with a Python in it, as far as a look at the folder can tell."""
    environment.python_of(venv).parent.mkdir(parents=True, exist_ok=True)
    environment.python_of(venv).touch()


def test_a_failed_installation_is_tried_again(root: Path, monkeypatch) -> None:
    def fail(root: Path, venv: Path, names: list[str]) -> None:
        raise Trouble("no network")

    venv = root / ".venv"
    monkeypatch.setattr(environment, "make_venv", make_empty)
    monkeypatch.setattr(environment, "install", fail)
    with pytest.raises(Trouble):
        environment.make_environment(root, venv)
    assert not (venv / "course-stamp").exists()


def test_the_stamp_knows_python_place_and_requirements(root: Path, tmp_path_factory) -> None:
    first = environment.stamp_of(root, (3, 11, 7))
    assert environment.stamp_of(root, (3, 11, 9)) == first != environment.stamp_of(root, (3, 12, 0))
    other = tmp_path_factory.mktemp("moved") / "there"
    shutil.copytree(root, other)
    assert environment.stamp_of(other, (3, 11, 7)) != first
    (root / "pyproject.toml").write_text("")
    assert environment.stamp_of(root, (3, 11, 7)) != first
    (root / "pyproject.toml").unlink()
    with pytest.raises(Trouble, match="git clone"):
        environment.stamp_of(root, (3, 11, 7))


def test_a_full_disk_is_told_before_anything_is_made(root: Path, monkeypatch) -> None:
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1e8}))
    with pytest.raises(Trouble, match="this disk has 0.1 GB left"):
        environment.make_environment(root, root / ".venv")
    assert not (root / ".venv").exists()


def test_a_folder_that_is_no_environment_is_never_deleted(root: Path) -> None:
    mine = root / ".venv" / "thesis.txt"
    mine.parent.mkdir()
    mine.write_text("years of work")
    with pytest.raises(Trouble, match="Move it away"):
        environment.make_venv(mine.parent)
    assert mine.read_text() == "years of work"


def test_a_python_without_ensurepip_is_told_which_package_to_install(root: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(Trouble, match=r"apt-get install python3\.\d+-venv"):
        environment.make_venv(root / ".venv")


def test_an_environment_whose_python_is_gone_is_made_anew(root: Path) -> None:
    import venv as maker

    place = root / ".venv"
    maker.EnvBuilder(with_pip=False).create(place)
    assert environment.venv_version(place) == "{}.{}".format(*sys.version_info)
    python = environment.python_of(place)
    python.unlink()
    python.symlink_to("/nowhere/python3")
    assert environment.venv_version(place) == ""
    environment.make_venv(place)
    assert environment.venv_version(place) == "{}.{}".format(*sys.version_info)


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("WARNING: Retrying: NewConnectionError('Temporary failure in name resolution')", "Check the network"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("ERROR: No matching distribution found for torch==2.13.0", "no package torch==2.13.0 for Python"),
        ("ERROR: something else", "pip failed: ERROR: something else The whole log is in"),
    ],
)
def test_why_pip_failed_is_a_sentence(tmp_path, output: str, sentence: str) -> None:
    log = tmp_path / "install.log"
    with log.open("w") as file, pytest.raises(Trouble) as told:
        environment.step([sys.executable, "-c", f"print({output!r}); raise SystemExit(1)"], file, log, 3)
    assert sentence in str(told.value) and output in log.read_text()


def test_progress_says_what_is_left(tmp_path, capsys) -> None:
    lines = [f"Collecting package{i}" for i in range(25)]
    lines += ["  Downloading torch-2.13.0-cp311-linux.whl (196.0 MB)", "Installing collected packages: a, b, c"]
    with (tmp_path / "log").open("w") as file:
        environment.step([sys.executable, "-c", f"print({chr(10).join(lines)!r})"], file, tmp_path / "log", 50)
    err = capsys.readouterr().err
    assert (
        "25/50 packages: package24" in err and "downloading torch (196.0 MB)" in err and "unpacking 3 packages" in err
    )
    assert environment.estimate(20, 50, 60.0) == "20/50 packages, about 1 min 30 s left: "


def test_chromium_is_looked_for_and_its_absence_explained(monkeypatch) -> None:
    monkeypatch.setattr(environment.shutil, "which", lambda name: "/usr/bin/x" if name == "chromium-browser" else None)
    environment.ensure_chromium()
    monkeypatch.setattr(environment.shutil, "which", lambda name: None)
    with pytest.raises(Trouble, match="apt-get install chromium"):
        environment.ensure_chromium()


def test_as_a_script_trouble_is_a_sentence_and_status_2(root: Path) -> None:
    copy = root / "autograder" / "environment.py"
    copy.parent.mkdir()
    shutil.copy(SCRIPT, copy)
    (root / "requirements.txt").unlink()
    done = subprocess.run([sys.executable, str(copy)], capture_output=True, text=True)
    assert done.returncode == 2 and "git clone" in done.stderr and "Traceback" not in done.stderr
