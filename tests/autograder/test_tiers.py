"""One small submission through every kind of isolation that this machine has: the same outcome, and the same walls."""

from __future__ import annotations

import io
import os
import pickle
import secrets
import socket
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from boxes import LIMITS, Inside

from autograder import checks, judge
from autograder.course import REPOSITORY, CourseError
from autograder.grading.run import grade
from autograder.sandbox import bwrap, container, root, spawn, tiers
from autograder.sandbox.host import SandboxError
from autograder.sandbox.limits import Limits
from autograder.sandbox.session import Ended

HERE = [name for name, tier in tiers.TIERS.items() if not tier.lack()]
SHORT = replace(LIMITS, cell_seconds=3, question_seconds=30)
CELLS = [
    "import torch\nprint('begun')\nnothing",
    "def softmax(x, dim):\n    e = (x - x.amax(dim, keepdim=True)).exp()\n    return e / e.sum(dim, keepdim=True)",
    "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()",
    "softmax(torch.zeros(2), 0)",
    "while True:\n    pass",
    "input()",
    "print('x' * 10**6)",
]


@pytest.fixture(scope="module", params=HERE)
def sandbox(request):
    made = tiers.TIERS[request.param].make("attention").begin()
    try:
        yield made.wait()
    finally:
        made.stop()


@pytest.fixture(scope="module")
def outcomes() -> dict[int, Any]:
    """What came of the submission in each sandbox so far."""
    return {}


def test_the_outcome_is_that_of_every_other_tier(sandbox, outcomes) -> None:
    exercise = checks.load("attention.softmax")
    with Inside(pickle.loads(pickle.dumps(sandbox.address)), SHORT) as inside:
        shown = [inside.session.cell(source) for source in CELLS]
        replies = list(inside.session.probe(["softmax"], {}, judge.requests(exercise, "7")))
        missing = list(inside.session.probe(["softplus"], {}, judge.requests(exercise, "7")))
        inside.session.put_files({"deep/data.txt": b"handed in"})
        text = inside("found = open('deep/data.txt').read()")
        computed, _ = inside.box.usage()
        inside.box.be_nice()
    verdict = judge.judge(exercise, "7", replies)
    outputs = [
        [(o["output_type"], o.get("ename"), sorted(o.get("data", {})), o.get("dropped")) for o in outputs]
        for outputs, _ in shown
    ]
    late = [late for _, late in shown]
    outcomes[id(sandbox)] = (outputs, late, missing, text, verdict.points)
    assert verdict.points == exercise.points and missing == ["softplus"] and text == "handed in"
    assert late == [False, False, False, False, True, False, False] and computed > 1
    assert outputs[0] == [("stream", None, [], None), ("error", "NameError", [], None)]
    assert "image/png" in outputs[2][-1][2] and outputs[5][0][1] == "StdinNotImplementedError"
    assert outputs[6][-1][0] == "notice" and all(outcome == outcomes[id(sandbox)] for outcome in outcomes.values())


def test_what_draws_is_loaded_beforehand_only_for_those_who_draw(sandbox) -> None:
    loaded = "found = ['matplotlib.pyplot' in sys.modules, 'torch' in sys.modules]"
    with Inside(sandbox.address) as inside:
        assert inside(loaded) == [False, True]
    with Inside(sandbox.address, mode="plots") as inside:
        assert inside(loaded) == [True, True]
        shown, _ = inside.session.cell(CELLS[2])
        assert "image/png" in shown[-1]["data"]


def test_there_is_no_network_and_nothing_of_the_machine_to_read(sandbox, tmp_path) -> None:
    (tmp_path / "course").mkdir()
    (tmp_path / "course" / "gradebook.db").write_text("secret")
    places = [REPOSITORY, tmp_path / "course", Path.home() / ".ssh", "/etc/shadow", "/etc/ssh", "/var", "/run", "/srv"]
    with socket.socket() as listening, Inside(sandbox.address) as inside:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        found = inside(f"""
attempt("here", lambda: socket.create_connection(("127.0.0.1", {listening.getsockname()[1]}), 2))
attempt("outside", lambda: socket.create_connection(("1.1.1.1", 53), 2))
for place in {[str(place) for place in places]}:
    attempt(place, lambda: os.lstat(place))
attempt("setting", lambda: open("/proc/sys/kernel/core_pattern", "w"))
attempt("program", lambda: open("/usr/bin/new", "w"))
attempt("view", lambda: open("/course/autograder/probe.py", "r+"))
attempt("root", lambda: open("/new", "w"))
libc.unshare.restype = ctypes.c_int
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
found = [tried, os.environ.get("HOME"), [int(status[n], 16) for n in ("CapEff", "CapPrm", "CapBnd")],
         status["NoNewPrivs"].strip(), status["Seccomp"].strip(), libc.unshare(0x10000000), socket.gethostname(),
         sorted(os.listdir("/course")), len([p for p in os.listdir("/proc") if p.isdigit()])]
""")
    tried = found[0]
    assert tried.pop("here") in ("ECONNREFUSED", "ENETUNREACH") and tried.pop("outside") == "ENETUNREACH"
    written = {tried.pop(name) for name in ("setting", "program", "view", "root")}
    assert written <= {"EROFS", "EACCES"} and set(tried.values()) == {"ENOENT"}
    assert found[1] == "/home/student" and set(found[2]) == {0} and found[3:7] == ["1", "2", -1, "student"]
    assert found[7] == ["autograder", "course_lib"] and found[8] <= 2


@pytest.mark.parametrize(
    ("source", "status"),
    [
        (
            "import mmap\nx = [mmap.mmap(-1, 1 << 28) for _ in range(8)]\nfor m in x:\n    m.write(bytes(1 << 28))",
            "memory",
        ),
        ("import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))\nwhile True:\n    pass", "timeout"),
        ("import os\nos._exit(3)", "crash"),
        ("import os\nos.kill(os.getpid(), 11)\nimport ctypes\nctypes.string_at(0)", "crash"),
    ],
    ids=["memory", "endless", "exit", "fault"],
)
def test_what_oversteps_a_limit_or_ends_is_stopped_and_told(sandbox, source: str, status: str) -> None:
    with Inside(sandbox.address, SHORT) as inside, pytest.raises(Ended) as ended:
        inside.session.cell(source)
    assert ended.value.status == status


def test_a_fork_bomb_is_bounded_and_ends_with_its_box(sandbox) -> None:
    mark = f"bomb{secrets.token_hex(4)}"
    source = f"open('/proc/self/comm', 'w').write({mark!r})\nimport os\nwhile True:\n    try:\n        os.fork()\n"
    source += "    except OSError:\n        pass"
    with Inside(sandbox.address, SHORT) as inside:
        try:
            assert inside.session.cell(source)[1], (
                "nothing but the time stops it where the number of processes is limited"
            )
        except Ended as ended:
            assert ended.status in ("crash", "memory", "timeout")
    left = [process for process in psutil.process_iter(["name"]) if process.info["name"] == mark]
    assert psutil.wait_procs(left, timeout=20)[1] == []


def test_a_box_whose_grader_has_gone_ends(sandbox) -> None:
    """Not closed by the grader, but its connections are, as by the kernel when the grader is killed."""
    mark = f"left{secrets.token_hex(4)}"
    inside = Inside(sandbox.address, SHORT)
    inside.session.channel.send({"do": "cell", "seconds": 60, "most": 10, "source":
                                 f"open('/proc/self/comm', 'w').write({mark!r})\nwhile True:\n    pass"})  # fmt: skip

    def running() -> list[psutil.Process]:
        return [process for process in psutil.process_iter(["name"]) if process.info["name"] == mark]

    for _ in range(600):
        if running():
            break
        psutil.time.sleep(0.1)
    assert running()
    inside.box.sock.close()
    if hasattr(inside.box, "lifeline"):
        inside.box.lifeline.close()
    assert psutil.wait_procs(running(), timeout=30)[1] == []
    inside.session.close()


# what can be told without an engine


def test_the_order_is_that_of_preference_and_every_lack_is_a_sentence() -> None:
    assert list(tiers.TIERS) == ["namespaces", "bwrap", "container"]
    for name, tier in tiers.TIERS.items():
        chosen, why = tiers.choose(name)
        assert (chosen is tier and why == "") if name in HERE else (chosen is None and tier.lack() in why)
    if HERE:
        assert tiers.choose(None)[0] is tiers.TIERS[HERE[0]]


def test_a_tier_that_is_asked_for_and_lacking_is_refused_never_replaced(monkeypatch) -> None:
    for name in tiers.TIERS:
        lacking = replace(tiers.TIERS[name], lack=lambda: "it is broken")
        monkeypatch.setitem(tiers.TIERS, name, lacking)
        with pytest.raises(CourseError, match=f"{name}: it is broken.*Nothing was graded.*autograder doctor"):
            grade.choose(name)
    with pytest.raises(CourseError, match="namespaces: .*bwrap: .*container: it is broken"):
        grade.choose(None)
    with pytest.raises(
        CourseError, match="no isolation is called 'chroot'; there are: namespaces, bwrap, container, none"
    ):
        grade.choose("chroot")


@pytest.fixture
def folder(tmp_path) -> str:
    (tmp_path / "view").mkdir()
    return str(tmp_path)


def test_a_container_has_no_network_no_rights_and_nothing_to_write_on(folder, monkeypatch) -> None:
    monkeypatch.delenv("AUTOGRADER_IMAGE", raising=False)
    limits = Limits(memory_mb=300, disk_mb=20, files=77, processes=9)
    for engine in container.ENGINES:
        words = container.command(engine, folder, limits)
        assert words[:2] == [engine, "run"] and words[-4:] == [root.python(), "-I", "-B", "-c", spawn.START][-4:]
        for word in ("--network=none", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--rm",
                     "--user=65534:65534", "--pids-limit=17", "--memory=1344m", "--memory-swap=1344m", "--pull=never",
                     "--ipc=private", "--entrypoint="):  # fmt: skip
            assert word in words, word
        assert not [w for w in words if "privileged" in w and w != "--security-opt=no-new-privileges"]
        volumes = [w.removeprefix("--volume=") for w in words if w.startswith("--volume=")]
        assert f"{folder}/view:/course:ro" in volumes and all(v.endswith(":ro") for v in volumes)
        assert {v.split(":")[1] for v in volumes} >= {"/usr", "/course", *root.python_folders().values()}
        writable = [w for w in words if w.startswith("--tmpfs=") and ":ro" not in w]
        assert {w.split("=")[1].split(":")[0] for w in writable} == set(root.WRITABLE)
        assert all("size=20m,nr_inodes=77" in w and "nosuid,nodev" in w for w in writable)
        assert not [w for w in words if "docker.sock" in w or "/root:" in w or f"{REPOSITORY}:" in w]
        assert words[words.index(container.EMPTY) + 1] == root.python()


def test_of_an_image_that_the_course_names_nothing_is_replaced_but_the_view(folder, monkeypatch) -> None:
    monkeypatch.setenv("AUTOGRADER_IMAGE", "registry.example/course:1")
    words = container.command("docker", folder, Limits())
    assert [w for w in words if w.startswith("--volume=")] == [f"--volume={folder}/view:/course:ro"]
    assert words[words.index("registry.example/course:1") + 1] == "python3"
    assert not [w for w in words if w.startswith("--env=PATH=")]


def test_the_empty_image_holds_links_and_folders_and_no_program() -> None:
    with tarfile.open(fileobj=io.BytesIO(container.empty_image())) as archive:
        members = {"/" + member.name: member for member in archive}
    assert {place for place, member in members.items() if member.isfile()} == {f"/etc/{name}" for name in root.FILES}
    assert all(member.isdir() or member.issym() or member.size < 200 for member in members.values())
    assert {place: m.linkname for place, m in members.items() if m.issym()} == root.links()
    assert {root.COURSE, root.HOME, "/tmp", "/proc"} <= set(members)


def test_an_engine_that_does_not_answer_is_a_sentence(monkeypatch, tmp_path) -> None:
    for name in container.ENGINES:
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    container.lack.cache_clear()
    assert container.lack() == "podman and docker does not answer: start it, and see that you may use it"
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    container.lack.cache_clear()
    assert container.lack() == "install Docker or Podman" and bwrap.lack() == "install the package bubblewrap"
    monkeypatch.undo()
    container.lack.cache_clear()


def test_an_engine_that_answers_is_tried_with_a_container(monkeypatch, tmp_path) -> None:
    """An engine of the test's own, which notes what it is asked."""
    log = tmp_path / "log"
    (tmp_path / "podman").write_text(f'#!/bin/sh\necho "$@" >> {log}\n[ "$1" = image ] && exit 1\nexit 0\n')
    (tmp_path / "podman").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("AUTOGRADER_IMAGE", raising=False)
    container.lack.cache_clear()
    try:
        assert container.lack() == ""
    finally:
        container.lack.cache_clear()
    asked = log.read_text().splitlines()
    assert asked[0] == "info" and asked[2] == f"import - {container.EMPTY}"
    assert asked[3].startswith("run --rm") and "--network=none" in asked[3] and asked[3].endswith("/bin/sh -c true")


def test_a_program_that_makes_no_sandbox_is_the_machine_s_fault() -> None:
    with pytest.raises(SandboxError, match="cannot be started"):
        spawn.SpawnedBox(["/nowhere/bwrap"], Limits())
    with pytest.raises(SandboxError, match="could not be started: no namespaces today"):
        spawn.SpawnedBox(["/bin/sh", "-c", "echo no namespaces today >&2; exit 1"], Limits())
    for address in (bwrap.BwrapAddress("x"), container.ContainerAddress("x")):
        with pytest.raises(SandboxError, match="only the tier namespaces"):
            address.open(Limits(), "jupyter")


def test_bubblewrap_s_command_shows_the_view_read_only_and_unshares_all(folder) -> None:
    words = bwrap.command(folder, Limits(disk_mb=3))
    for word in ("--unshare-all", "--unshare-user", "--die-with-parent", "--as-pid-1", "--new-session", "--clearenv"):
        assert word in words
    assert "--share-net" not in words and "--bind" not in words and "--cap-add" not in words
    shown = [(words[i + 1], words[i + 2]) for i, w in enumerate(words) if w in ("--ro-bind", "--ro-bind-try")]
    assert (f"{folder}/view", "/course") in shown and ("/proc/sys", "/proc/sys") in shown
    devices = [words[i + 1] for i, w in enumerate(words) if w == "--dev-bind"]
    assert devices == [f"/dev/{name}" for name in root.DEVICES]
    assert [words[i + 3] for i, w in enumerate(words) if w == "--size"] == list(root.WRITABLE)
