"""The isolated kernel as Jupyter's clients meet it: by its name alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import entry_points
from pathlib import Path

import nbformat
import psutil
import pytest
from classroom import HEADS, RIGHT, SOFTMAX, notebook
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from autograder.course import Course
from autograder.grading.intake.collect import collect
from autograder.grading.reports.report import read_class
from autograder.sandbox import keeper, provisioner
from autograder.sandbox.host import SandboxError

SLOW = 180
WRONG = "def softmax(x, dim):\n    e = x.exp()\n    return e / e.sum(dim, keepdim=True)"


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory):
    """Jupyter knows the kernel; the warm process is the tests' own."""
    base = tmp_path_factory.mktemp("jupyter")
    short = Path(tempfile.mkdtemp(prefix="jt-", dir="/tmp"))
    with pytest.MonkeyPatch.context() as patch:
        provisioner.install(str(base))
        patch.setenv("JUPYTER_PATH", str(base / "share" / "jupyter"))
        patch.setenv("TMPDIR", str(short))
        patch.setenv("AUTOGRADER_CANARY", "canary")
        patch.setenv("AUTOGRADER_SEED", "7")
        patch.setattr(tempfile, "tempdir", None)
        try:
            yield short
        finally:
            keeper.stop()
        left = [path.name for path in short.iterdir()]
    assert left == [f"autograder-{os.getuid()}"], "sockets or a zygote's folder were left"


@pytest.fixture
def kernel(place):
    manager, client = start_new_kernel(kernel_name="autograder", startup_timeout=SLOW)
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def run(*sources: str, kernel: str = "autograder") -> list:
    """The notebook's outputs, cell by cell."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    NotebookClient(made, kernel_name=kernel, timeout=SLOW, startup_timeout=SLOW).execute()
    return [cell.outputs for cell in made.cells]


def ask(client, code: str) -> dict:
    """The reply to a cell, with what it printed."""
    printed: list[str] = []
    reply = client.execute_interactive(
        code, timeout=SLOW, output_hook=lambda m: printed.append(m["content"].get("text", ""))
    )
    return reply["content"] | {"printed": "".join(printed)}


def test_it_is_known_to_jupyter_and_starts_nothing_without_its_provisioner() -> None:
    (point,) = entry_points(group="jupyter_client.kernel_provisioners", name="autograder-box")
    assert point.load() is provisioner.BoxProvisioner
    spec = provisioner.SPEC
    assert spec["metadata"]["kernel_provisioner"]["provisioner_name"] == point.name
    done = subprocess.run([word.format(connection_file="x") for word in spec["argv"]], capture_output=True, text=True)
    assert done.returncode == 1 and "started by its provisioner" in done.stderr


def test_nbclient_gets_what_the_usual_kernel_gives() -> None:
    sources = (
        "import torch\nprint(torch.ones(2).sum())",
        "1 / 4",
        "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()",
        "!echo from a program",
        f"from autograder.check import check\n{SOFTMAX}",
        'check("attention.softmax", softmax)',
        f"{WRONG}\ncheck('attention.softmax', softmax)",
        "import os\nif os.fork() == 0:\n    print('from a fork', flush=True)\n    os._exit(0)\n_ = os.wait()",
    )
    isolated, usual = run(*sources), run(*sources, kernel="python3")

    def form(outputs: list) -> list:
        # what a program prints ends its lines as in a terminal where there is one
        texts = [[(o.get("text") or "").replace("\r\n", "\n") for o in cell] for cell in outputs]
        return [[(o.output_type, sorted(o.get("data", {}))) for o in cell] for cell in outputs] + texts

    assert form(isolated[:7]) == form(usual[:7])
    assert [isolated[i][0]["data"]["text/plain"] for i in (1, 5, 6)] == [
        usual[i][0]["data"]["text/plain"] for i in (1, 5, 6)
    ]
    assert isolated[5][0]["data"]["text/plain"] == "5.0" and "from a fork" in isolated[7][0]["text"]


def test_a_warm_kernel_is_faster_than_a_fresh_one() -> None:
    run("0")  # see that it is warm
    times = {}
    for kernel in ("autograder", "python3"):
        began = time.monotonic()
        run("import torch\nimport autograder.check", kernel=kernel)
        times[kernel] = time.monotonic() - began
    assert times["autograder"] < times["python3"]


def test_it_is_isolated(tmp_path) -> None:
    (tmp_path / "secret").write_text("x")
    source = f"""
import json, os, socket
found = {{}}
def attempt(name, function):
    try:
        found[name] = str(function())
    except Exception as error:
        found[name] = type(error).__name__
attempt("file", lambda: open({str(tmp_path / "secret")!r}).read())
attempt("network", lambda: socket.create_connection(("1.1.1.1", 53), 3))
attempt("setting", lambda: open("/proc/sys/kernel/core_pattern", "w"))
attempt("program", lambda: open("/usr/bin/new", "w"))
found["root"] = os.listdir("/")
found["me"] = [os.getpid(), os.getuid(), os.environ.get("AUTOGRADER_CANARY"), os.environ.get("AUTOGRADER_SEED")]
found["pids"] = [p for p in os.listdir("/proc") if p.isdigit()]
found["status"] = {{line.split(":")[0]: line.split()[-1] for line in open("/proc/self/status") if ":" in line}}
print(json.dumps(found))
"""
    found = json.loads(run(source)[0][0]["text"])
    assert found["file"] == "FileNotFoundError" and found["network"] == "OSError"
    assert found["setting"] in ("OSError", "PermissionError") and found["program"] == "OSError"
    assert found["me"] == [1, 1000, None, "7"] and found["pids"] == ["1"] and "work" not in found["root"]
    status = found["status"]
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_an_interrupt_stops_the_cell_and_not_the_kernel(kernel) -> None:
    manager, client = kernel
    ask(client, "x = 5")
    # otherwise ipykernel drops the cells that reach it just after an error
    identity = client.execute("import time\nprint('begun')\nwhile True:\n    time.sleep(0.1)", stop_on_error=False)
    while client.get_iopub_msg(timeout=SLOW)["content"].get("text") != "begun\n":
        pass
    manager.interrupt_kernel()
    reply = client.get_shell_msg(timeout=SLOW)
    assert reply["parent_header"]["msg_id"] == identity and reply["content"]["ename"] == "KeyboardInterrupt"
    assert ask(client, "print(x)")["printed"] == "5\n"


def test_a_restart_and_a_kernel_that_kills_itself(kernel) -> None:
    manager, client = kernel
    ask(client, "x = 5")
    for way in ("restart", "os._exit(3)", "os.kill(os.getpid(), 11)"):
        if way != "restart":
            client.execute(f"import os\n{way}\nimport ctypes\nctypes.string_at(0)")
            until = time.monotonic() + SLOW
            while manager.is_alive() and time.monotonic() < until:
                time.sleep(0.05)
            assert not manager.is_alive()
        manager.restart_kernel(now=True)
        client.wait_for_ready(timeout=SLOW)
        assert ask(client, "x")["ename"] == "NameError" and manager.is_alive()
    manager.shutdown_kernel()
    assert not manager.is_alive()


def test_a_notebook_whose_kernel_dies_or_fails_is_told_so() -> None:
    with pytest.raises(DeadKernelError):
        run("import os\nos._exit(1)")
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        run("1 / 0")


def test_limits_are_those_of_the_kernel_s_specification(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(provisioner.SPEC["metadata"]["kernel_provisioner"], "config", {"limits": {"memory_mb": 300}})
    provisioner.install(str(tmp_path))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share" / "jupyter"))
    with pytest.raises(CellExecutionError, match="MemoryError"):
        run("x = bytearray(800 << 20)")


def test_nbgrader_autograde_gives_the_same_scores_as_with_the_usual_kernel(released: Course, tmp_path) -> None:
    import shutil

    scores = {}
    for name in ("autograder", "python3"):
        shutil.copytree(released.root, tmp_path / name)
        made = Course.at(tmp_path / name)
        (tmp_path / f"in-{name}").mkdir()
        for student, answers in {
            "right": RIGHT,
            "wrong": RIGHT | {"softmax": WRONG, "split_heads": HEADS[:60]},
        }.items():
            nbformat.write(notebook(made.release("attention"), answers), tmp_path / f"in-{name}" / f"{student}.ipynb")
        collect(made, "attention", [tmp_path / f"in-{name}"])
        config = made.root / "nbgrader_config.py"
        config.write_text(config.read_text() + f'c.Execute.kernel_name = "{name}"\n')
        program = str(Path(sys.executable).parent / "nbgrader")
        done = subprocess.run([program, "autograde", "attention"], cwd=made.root, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        scores[name] = {r.student: {k: m.points for k, m in r.marks.items()} for r in read_class(made, "attention")}
    assert scores["autograder"] == scores["python3"] and scores["autograder"]["right"]["softmax"] == 5
    assert scores["autograder"]["wrong"]["softmax"] < 5


def test_two_starts_at_once_make_one_warm_process_which_ends_when_unused(place, monkeypatch) -> None:
    keeper.stop()
    assert keeper.running() == 0
    monkeypatch.setenv("AUTOGRADER_KERNEL_IDLE", "3")
    line = "import time\nfrom autograder.sandbox import keeper\n"
    line += "with keeper.hold() as a:\n    print(a.path, flush=True)\n    time.sleep(6)"
    starts = [subprocess.Popen([sys.executable, "-c", line], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert len({start.stdout.readline() for start in starts}) == 1 and keeper.running() == 1
    time.sleep(4)
    assert keeper.running() == 1, "it must not end while somebody holds it"
    for start in starts:
        start.communicate()
    until = time.monotonic() + 60
    while keeper.running() and time.monotonic() < until:
        time.sleep(0.2)
    assert keeper.running() == 0 and not list(place.glob("grader-*"))


def test_a_warm_process_that_was_killed_is_replaced_and_what_it_left_removed(place) -> None:
    with keeper.hold() as address:
        state = keeper.Place.here().read()
        psutil.Process(int(state["pid"])).kill()
        until = time.monotonic() + 30
        while keeper.running() and time.monotonic() < until:
            time.sleep(0.1)
    with keeper.hold() as other:
        assert other.path != address.path
    assert run("print(1)")[0][0]["text"] == "1\n"
    assert len(list(place.glob("grader-*"))) == 1


def test_a_folder_of_somebody_else_s_is_not_trusted(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"autograder-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SandboxError, match="not a folder of yours alone"):
        keeper.folder()
    (tmp_path / f"autograder-{os.getuid()}").unlink()
    (tmp_path / f"autograder-{os.getuid()}").mkdir(mode=0o755)
    with pytest.raises(SandboxError, match="not a folder of yours alone"):
        keeper.folder()


def test_paths_of_sockets_are_short_wherever_temporary_files_are(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("x" * 90)))
    assert provisioner.short_folder() == "/tmp"
    monkeypatch.setattr(tempfile, "tempdir", "/var/tmp")
    assert provisioner.short_folder() == "/var/tmp"
