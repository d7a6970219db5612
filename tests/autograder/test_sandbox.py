"""Walk through a box from inside: what student code can see, reach, change and use up."""

from __future__ import annotations

import ast
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from boxes import LIMITS, Inside

from autograder import checks, judge, rooms
from autograder.course import REPOSITORY
from autograder.grading.run.processes import JudgeProcess
from autograder.sandbox import linux, root, seccomp, tiers, view
from autograder.sandbox.host import Zygote
from autograder.sandbox.session import Ended

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are a thing of Linux")
ROOM = "attention"
CANARY = f"canary{secrets.token_hex(12)}"
# as root and as an ordinary user, where the tests are run by root
USERS = ("ordinary", "root") if os.name == "posix" and os.getuid() == 0 else ("ordinary",)


@pytest.fixture(scope="module", params=USERS)
def sandbox(request):
    assert tiers.TIERS["namespaces"].lack() == ""
    os.environ["AUTOGRADER_CANARY"] = os.environ["AUTOGRADER_SEED"] = CANARY
    try:
        with Zygote(ROOM, unprivileged=request.param == "ordinary") as zygote:
            yield zygote
    finally:
        del os.environ["AUTOGRADER_CANARY"], os.environ["AUTOGRADER_SEED"]


@pytest.fixture
def inside(sandbox):
    with Inside(sandbox.address) as box:
        yield box


# what there is to see


def test_no_file_of_the_repository_the_home_or_a_course_can_be_reached(inside, tmp_path) -> None:
    hidden = [REPOSITORY, tmp_path / "course", tmp_path / "home"]
    (tmp_path / "course").mkdir()
    (tmp_path / "course" / "gradebook.db").write_text(CANARY)
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    (tmp_path / "home" / ".ssh" / "id_ed25519").write_text(CANARY)
    known = {}
    for folder in hidden:
        for path, folders, files in os.walk(folder):
            folders[:] = [name for name in folders if not (Path(path) / name / "pyvenv.cfg").is_file()]
            for name in files:
                with_status = os.lstat(f"{path}/{name}")
                known[f"{with_status.st_dev} {with_status.st_ino}"] = f"{path}/{name}"
    assert len(known) > 300
    own = os.lstat(sys.prefix + "/pyvenv.cfg")
    inside.session.put_files({"known.json": json.dumps([*known, f"{own.st_dev} {own.st_ino}"]).encode()})
    seen = inside("""
known, seen, count = set(json.load(open("known.json"))), [], 0
for path, folders, files in os.walk("/"):
    folders[:] = [name for name in folders if (path, name) != ("/", "proc")]
    for name in files:
        status = os.lstat(f"{path}/{name}")
        count += 1
        if f"{status.st_dev} {status.st_ino}" in known:
            seen.append(f"{path}/{name}")
found = [seen, count]
""")
    # the environment's own file is found, so others would be
    assert seen[0] == ["/venv/pyvenv.cfg"] and seen[1] > 5000


def test_nothing_is_there_but_the_system_s_programs_python_and_the_view(inside, tmp_path) -> None:
    found = inside("""
places = ("/", "/home", "/tmp", "/dev/shm", "/home/student", "/etc", "/dev")
found = {place: sorted(os.listdir(place)) for place in places}
found["course"] = sorted(os.path.join(p, f)[8:] for p, _, fs in os.walk("/course") for f in fs)
found["python"] = sys.base_prefix
""")
    base = "/" + found.pop("python").split("/")[1]
    lowest = {
        "bin",
        "course",
        "dev",
        "etc",
        "home",
        "lib",
        "lib32",
        "lib64",
        "proc",
        "sbin",
        "sys",
        "tmp",
        "usr",
        "venv",
    }
    assert set(found["/"]) - {base[1:]} <= lowest
    assert found["/home"] == ["student"] and found["/tmp"] == found["/dev/shm"] == found["/home/student"] == []
    assert set(found["/etc"]) <= {*root.ETC, "passwd", "group", "hosts", "nsswitch.conf"}
    assert set(found["/dev"]) == {*root.DEVICES, *root.LINKS, "shm"}
    view.build(ROOM, tmp_path / "view")
    assert found["course"] == sorted(str(p.relative_to(tmp_path / "view")) for p in (tmp_path / "view").rglob("*.*"))


def test_of_the_folder_that_python_lies_in_only_python_is_there(inside) -> None:
    places = root.python_folders()
    found = inside(f"""
found = {{}}
for place in {sorted(places)}:
    while (place := os.path.dirname(place)) != "/":
        found[place] = sorted(os.listdir(place)) if os.path.isdir(place) else None
""")
    for folder, names in found.items():
        below = {Path(p).relative_to(folder).parts[0] for p in places.values() if Path(p).is_relative_to(folder)}
        assert set(names or []) <= below, f"{folder} shows more than Python"


@pytest.mark.parametrize("room", rooms.ASSIGNMENTS)
def test_a_view_holds_no_answer_of_its_room_or_a_later_one(room: str, tmp_path) -> None:
    later = rooms.ASSIGNMENTS[rooms.ASSIGNMENTS.index(room) :]
    answers = {name for r in later for exercise in checks.names(r) for name in checks.load(exercise).objects}
    view.build(room, tmp_path / "view")
    lent = view.LENT.get(room, {})  # a name alone: what stands behind it is not there
    defined = {
        (str(path.relative_to(tmp_path / "view")), node.name)
        for path in (tmp_path / "view").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    }
    assert len(answers) > 8 and len(defined) > 100
    assert {(place, name) for place, name in defined if name in answers and place not in lent} == set()
    files = {
        str(p.relative_to(tmp_path / "view" / "autograder")) for p in (tmp_path / "view" / "autograder").rglob("*.py")
    }
    assert files == {*view.PROBE, *(f"sandbox/{name}" for name in view.SANDBOX), "check.py"}
    assert not files & {"judge.py", "gate.py", "program.py", "exercise.py", "compare.py", "given_gpt.py"}


@pytest.mark.parametrize("room", rooms.ASSIGNMENTS)
def test_what_a_view_holds_of_rooms_before_needs_nothing_that_it_lacks(room: str, tmp_path) -> None:
    """But for the tokens in the attention room: the reference mixes them with what is asked for there."""
    view.build(room, tmp_path / "view")
    lacking = set()
    for path in (tmp_path / "view").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:  # what is imported at once, not within functions
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for name in names:
                place = tmp_path / "view" / name.replace(".", "/")
                ours = name.split(".")[0] in ("course_lib", "autograder")
                if ours and not (place.is_dir() or place.with_suffix(".py").is_file()):
                    lacking.add(name)
    assert lacking == ({"course_lib.attention"} if room == "attention" else set())


def test_a_course_below_what_students_see_is_covered() -> None:
    shown = {"/usr": "/usr", sys.prefix: "/venv"}
    packages = Path(sys.prefix).resolve() / "lib" / "site-packages" / "autograder"
    assert root.covered(shown, [Path("/usr/src/course")]) == ["/usr/src/course"]
    assert root.covered(shown, [packages]) == ["/venv/lib/site-packages/autograder"]
    assert root.covered(shown, [Path("/srv/course")]) == []
    assert root.course_folders() == [REPOSITORY]


def test_the_environment_holds_nothing_of_the_grader_s(inside) -> None:
    found = inside("found = dict(os.environ)")
    assert CANARY not in json.dumps(found)
    assert "AUTOGRADER_SEED" not in found and "PYTHONPATH" not in found and found["HOME"] == "/home/student"


def test_proc_shows_one_process_and_nothing_of_the_host(inside, tmp_path) -> None:
    found = inside("""
import multiprocessing
read = lambda name: open(name, "rb").read().decode(errors="replace")
found = {"pids": [p for p in os.listdir("/proc") if p.isdigit()], "us": os.getpid(), "ids": [os.getuid(), os.getgid()],
         "host": socket.gethostname(), "groups": os.getgroups(), "all": ""}
for name in ("environ", "cmdline", "mountinfo", "mounts", "maps", "cgroup", "status", "net/unix", "net/tcp"):
    found["all"] += read("/proc/1/" + name)
found["status"] = dict(line.split(":", 1) for line in read("/proc/self/status").splitlines())
""")
    assert found["pids"] == ["1"] and found["us"] == 1 and found["ids"] == [1000, 1000]
    assert found["host"] == "student" and set(found["groups"]) <= {1000, 65534}
    for word in (CANARY, "judge-", "gradebook", str(tmp_path), socket.gethostname()):
        assert word not in found["all"], f"{word} stands in /proc"
    status = {name: value.strip() for name, value in found["status"].items()}
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert (status["NoNewPrivs"], status["Seccomp"], status["Threads"]) == ("1", "2", "1")


def test_what_tells_about_the_machine_is_covered_and_its_settings_are_read_only(inside) -> None:
    found = inside(f"""
for place in {[*linux.PROC_HIDDEN]}:
    if os.path.exists(place):
        attempt(place, lambda: open(place, "rb").read(1))
settings = [os.path.join(p, f) for p, _, fs in os.walk("/proc/sys") for f in fs]
found = [tried, [s for s in settings if os.access(s, os.W_OK)], len(settings)]
""")
    assert set(found[0].values()) == {"EACCES"} and found[1] == [] and found[2] > 50


def test_descriptors_are_the_standard_ones_and_the_connection(inside) -> None:
    found = inside("""
found = {}
for name in os.listdir("/proc/self/fd"):
    try:
        found[name] = os.readlink("/proc/self/fd/" + name).split(":")[0]
    except FileNotFoundError:
        pass  # the one that lists them
""")
    assert sorted(found.values()) == ["/dev/null", "/dev/null", "/dev/null", "socket"]


SCAN = """
def scan(first, turned, length=1 << 22):
    "Whether `first` is followed by what `turned` is backwards anywhere in this process's memory."
    count = 0
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            if "r" not in rights or line.rstrip().endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            for at in range(start, end, length):
                try:
                    memory.seek(at)
                    chunk = memory.read(min(length + 64, end - at))
                except (OSError, OverflowError):
                    continue
                place = -1
                while (place := chunk.find(first, place + 1)) >= 0:
                    count += chunk[place + len(first) : place + len(first) + len(turned)][::-1] == turned
    return count
"""


def test_no_secret_lies_in_memory_even_after_a_question(inside, tmp_path) -> None:
    """The seed, an expected answer and the judge's address are looked for in all that the process can read."""
    exercise = checks.load("attention.softmax")
    with JudgeProcess(ROOM, tmp_path / "log") as the_judge:
        the_judge.tell(CANARY)
        inside("def softmax(x, dim):\n    return x")
        list(inside.session.probe(["softmax"], {}, judge.requests(exercise, CANARY)))
        want = exercise.cases[0].plan(exercise.name, CANARY).expectations[0].want
        secrets_ = [CANARY.encode(), the_judge.path.encode(), want.numpy().tobytes()[:16], secrets.token_bytes(16)]
        parts = [(s[:8].hex(), s[8:24][::-1].hex()) for s in secrets_]
        found = inside(f"""{SCAN}
parts = [(bytes.fromhex(a), bytes.fromhex(b)) for a, b in {parts}]
kept = parts[-1][0] + parts[-1][1][::-1]
found = [scan(*both) for both in parts]
""")
    # the last one was put there by the lines above: what is there is found
    assert found[:-1] == [0, 0, 0] and found[-1] > 0


# what can be reached


def test_no_network_and_no_socket_of_the_machine(inside, tmp_path) -> None:
    name = f"\0{CANARY}"
    with socket.socket(socket.AF_UNIX) as abstract, socket.socket() as tcp, socket.socket(socket.AF_UNIX) as path:
        abstract.bind(name)
        abstract.listen()
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        path.bind(str(tmp_path / "s"))
        path.listen()
        found = inside(f"""
def to(family, address, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as s:
        s.settimeout(2)
        s.connect(address)
attempt("abstract", lambda: to(socket.AF_UNIX, {name!r}))
attempt("path", lambda: to(socket.AF_UNIX, {str(tmp_path / "s")!r}))
attempt("loopback", lambda: to(socket.AF_INET, ("127.0.0.1", {tcp.getsockname()[1]})))
attempt("outside", lambda: to(socket.AF_INET, ("1.1.1.1", 53)))
attempt("datagram", lambda: to(socket.AF_INET, ("1.1.1.1", 53), socket.SOCK_DGRAM))
attempt("metadata", lambda: to(socket.AF_INET, ("169.254.169.254", 80)))
attempt("six", lambda: to(socket.AF_INET6, ("2606:4700::1111", 53)))
attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
for family in ("AF_NETLINK", "AF_PACKET", "AF_VSOCK", "AF_ALG", "AF_BLUETOOTH", "AF_KEY"):
    if hasattr(socket, family):
        attempt(family, lambda: socket.socket(getattr(socket, family), socket.SOCK_RAW))
attempt("name", lambda: socket.gethostbyname("example.org"))
pair = socket.socketpair()
pair[0].send(b"within the process it works")
found = tried
""")
    assert found["abstract"] == "ECONNREFUSED" and found["path"] == "ENOENT" and found["raw"] == "EPERM"
    assert {found[n] for n in ("loopback", "outside", "datagram", "metadata", "six")} <= {
        "ENETUNREACH",
        "EADDRNOTAVAIL",
    }
    families = {value for key, value in found.items() if key.startswith("AF_")}
    assert families == {"EAFNOSUPPORT"} and "not known" in found["name"]


def test_every_forbidden_system_call_is_refused(inside) -> None:
    column = seccomp.MACHINES[os.uname().machine][0]
    numbers = {name: both[column] for name, both in seccomp.FORBIDDEN.items() if both[column] is not None}
    found = inside(f"found = {{name: call(number, -1, -1, -1) for name, number in {numbers}.items()}}")
    assert found == dict.fromkeys(numbers, "EPERM") and len(numbers) > 50
    clone, clone3 = seccomp.CLONE[column], seccomp.CLONE3[column]
    spaces = (0x10000000, 0x20000, 0x20000000, 0x40000000, 0x8000000, 0x4000000, 0x2000000)
    assert set(inside(f"found = [call({clone}, space | 17) for space in {spaces}]")) == {"EPERM"}
    assert inside(f"found = [call({clone3}, 0, 0), call({seccomp.IOCTL[column]}, 0, {seccomp.TIOCSTI})]") == [
        "ENOSYS", "EPERM",
    ]  # fmt: skip


def test_limits_cannot_be_raised_and_nobody_else_signalled(inside) -> None:
    found = inside("""
names = [name for name in dir(resource) if name.startswith("RLIMIT_")]
for name in ("RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_NPROC", "RLIMIT_NOFILE", "RLIMIT_CORE", "RLIMIT_MEMLOCK"):
    most = resource.getrlimit(getattr(resource, name))[1]
    attempt(name, lambda: resource.setrlimit(getattr(resource, name), (most + 1, most + 1)))
attempt("everybody", lambda: os.kill(-1, 9))
attempt("parent", lambda: os.kill(os.getppid(), 0) if os.getppid() else "none")
attempt("another", lambda: os.kill(2, 9))
attempt("nicer", lambda: os.nice(-1))
attempt("realtime", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
attempt("root", lambda: os.setuid(0))
attempt("groups", lambda: os.setgroups([]))
attempt("device", lambda: os.mknod("/tmp/disk", 0o60600, os.makedev(254, 0)))
attempt("kept from the killer", lambda: open("/proc/self/oom_score_adj", "w", buffering=1).write("-1000\\n"))
attempt("other user", lambda: open("/proc/self/uid_map", "w", buffering=1).write("0 0 1\\n"))
found = tried
""")
    assert {value for key, value in found.items() if key.startswith("RLIMIT")} == {"ValueError"}
    assert found["everybody"] == found["another"] == "ESRCH" and found["parent"] == "none"
    assert {found[n] for n in ("nicer", "realtime", "groups", "device", "other user")} == {"EPERM"}
    assert found["root"] in ("EINVAL", "EPERM") and found["kept from the killer"] == "EACCES"


def test_nothing_can_be_written_outside_the_folders_that_are_for_it(inside) -> None:
    found = inside("""
found = []
for path, folders, files in os.walk("/"):
    folders[:] = [name for name in folders if (path, name) != ("/", "proc")]
    if os.access(path, os.W_OK):
        found.append(path)
        folders.clear()
for name in ("/usr/bin/env", "/etc/passwd", "/course/autograder/probe.py", "/venv/pyvenv.cfg"):
    attempt(name, lambda: open(name, "r+"))
attempt("new", lambda: open("/new", "w"))
attempt("device", lambda: open("/dev/sda", "w"))
found = [sorted(found), sorted(set(tried.values()))]
""")
    assert found[0] == ["/dev/shm", "/home/student", "/tmp"] and set(found[1]) <= {"EROFS", "EACCES"}


# what can be used up


def test_files_have_a_limit_in_bytes_and_in_number_over_all_folders_together(inside) -> None:
    found = inside("""
def fill(number, size):
    done = 0
    try:
        for i in range(number):
            for place in ("/tmp", "/dev/shm", "/home/student"):
                with open(f"{place}/{size}-{i}", "wb") as file:
                    file.write(bytes(size))
                done += 1
    except OSError as error:
        tried[size] = errno.errorcode[error.errno]
    return done
large = fill(100, 1 << 20)
for place in ("/tmp", "/dev/shm", "/home/student"):
    for name in os.listdir(place):
        os.unlink(f"{place}/{name}")
found = [large, fill(1000, 0), tried]
""")
    assert LIMITS.disk_mb - 2 <= found[0] <= LIMITS.disk_mb and LIMITS.files - 20 <= found[1] <= LIMITS.files
    assert found[2] == {str(1 << 20): "ENOSPC", "0": "ENOSPC"}


@pytest.mark.parametrize(
    "hoard",
    [
        "x = bytearray(3 << 30)",
        "import torch\nx = [torch.ones(1 << 24) for _ in range(40)]",
        "x = [bytes(1 << 20) for _ in range(3000)]",
    ],
)
def test_memory_beyond_the_limit_is_an_error_that_python_can_tell(inside, hoard: str) -> None:
    outputs, _ = inside.session.cell(hoard)
    assert outputs[0]["ename"] in ("MemoryError", "RuntimeError") and inside("found = 1") == 1


@pytest.mark.parametrize(
    "hoard",
    [
        "import mmap\nx = [mmap.mmap(-1, 1 << 28) for _ in range(8)]\nfor m in x:\n    m.write(bytes(1 << 28))",
        "for _ in range(6):\n    if os.fork() == 0:\n        x = bytearray(300 << 20)\n        break\nsignal.pause()",
    ],
    ids=["shared", "in many processes"],
)
def test_memory_beyond_the_limit_in_other_ways_ends_the_box(inside, hoard: str) -> None:
    with pytest.raises(Ended) as ended:
        inside.session.cell(f"import signal\n{hoard}")
    assert ended.value.status == "memory"


def test_processes_have_a_limit(inside, sandbox) -> None:
    """For root outside this limit does not count; then memory and time bound what forks can do."""
    lines = """
import threading, time
threading.stack_size(1 << 16)
def many():
    try:
        for _ in range(200):
            threading.Thread(target=time.sleep, args=(20,), daemon=True).start()
    except RuntimeError:
        return "refused"
    return "all"
attempt("threads", many)
found = tried["threads"]
"""
    bounded = not (sandbox.unprivileged and os.getuid() == 0)
    assert inside(lines) == ("refused" if bounded else "all")


def test_a_box_that_is_closed_leaves_no_process_behind(sandbox) -> None:
    mark = f"left-{secrets.token_hex(6)}"
    with Inside(sandbox.address) as box:
        box(f"""
import subprocess
for _ in range(3):
    command = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)", {mark!r}]
    subprocess.Popen(command, start_new_session=True)
found = 3
""")
        # a program that has only just been started has no command line for a moment
        until = time.monotonic() + 10
        while len(marked(mark)) < 3 and time.monotonic() < until:
            time.sleep(0.05)
        assert len(marked(mark)) == 3
    psutil.wait_procs(marked(mark), timeout=10)
    assert marked(mark) == []


def marked(mark: str) -> list[psutil.Process]:
    """The processes of this machine with a word in their command line."""
    return [p for p in psutil.process_iter(["cmdline"]) if mark in (p.info["cmdline"] or [])]


AS_ANOTHER = """
set -e
mkdir "$1/python" "$1/home"
mount --bind "$2" "$1/python"
mount -t tmpfs -o mode=755 none "$3"
mkdir -p "$2"
mount --bind "$1/python" "$2"
chown 12345:12345 "$1/home"
cd "$1/home"
HOME="$1/home" TMPDIR="$1/home" exec setpriv --reuid 12345 --regid 12345 --clear-groups "$4" -c "$5"
"""
AS_USER = f"""
import os, sys
sys.path[:0] = [{str(REPOSITORY)!r}, {str(Path(__file__).parent)!r}]
from boxes import Inside
from autograder.sandbox import tiers
tier, why = tiers.choose("namespaces")
assert tier is not None, why
sandbox = tier.make("attention").begin().wait()
try:
    with Inside(sandbox.address) as inside:
        print(os.getuid(), inside("found = [os.getuid(), os.getpid(), os.listdir('/tmp')]"))
finally:
    sandbox.stop()
"""


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="every other test here runs as an ordinary user")
def test_an_ordinary_user_of_this_machine_can_do_it_too(tmp_path) -> None:
    """Really another user: in a mount namespace where the folder of Python is not root's alone."""
    base = os.path.realpath(sys.base_prefix)
    top = "/" + base.split("/")[1]  # such as /root, which others may not enter
    if top in ("/usr", "/opt"):
        top = str(tmp_path / "nothing")
        os.mkdir(top)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", AS_ANOTHER, "sh", str(tmp_path), base, top]
    done = subprocess.run([*words, sys.executable, AS_USER], capture_output=True, text=True)
    assert done.stdout == "12345 [1000, 1, []]\n", done.stderr
