"""Make or refresh the environment in .venv, with any python3 from 3.11 on: python3 autograder/environment.py [--tests]

Uses nothing but the standard library. Quick when nothing has changed.
"""

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
NEEDED = (3, 11)
NEEDED_GB = 4.0
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NETWORK = (
    "Temporary failure in name resolution", "Failed to establish a new connection", "Network is unreachable",
    "Connection refused", "Read timed out", "ProxyError", "Name or service not known", "nodename nor servname",
    "NewConnectionError", "ConnectTimeout", "getaddrinfo failed",
)  # fmt: skip


class Trouble(Exception):
    """What hinders the installation, as a sentence that says what to do."""


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tests", action="store_true", help="also what the tests need, a Chromium among it")
    options = parser.parse_args(argv)
    try:
        make_environment(ROOT, VENV, tests=options.tests)
        if options.tests:
            ensure_chromium()
            ensure_bubblewrap()
    except Trouble as trouble:
        print(f"\n{trouble}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. The same command takes up where this one ended.", file=sys.stderr)
        return 130
    return 0


def make_environment(root, venv, tests=False):
    """Bring `venv` to what the requirements in `root` ask for; returns whether anything had to be done.

    With `tests`, those of the tests too. An environment that has them keeps them.
    """
    check_python(sys.version_info)
    stamp = venv / "course-stamp"
    found = stamp.read_text() if stamp.is_file() and python_of(venv).exists() else ""
    full = stamp_of(root, sys.version_info, tests=True)
    wanted = full if tests else stamp_of(root, sys.version_info)
    if found in (wanted, full):
        return False
    free = shutil.disk_usage(root).free / 1e9
    if free < NEEDED_GB and not python_of(venv).exists():
        raise Trouble(
            f"The environment needs about {NEEDED_GB:g} GB, this disk has {free:.1f} GB left. "
            "Make room, then try again."
        )
    say(f"Making the environment in {venv}. The first time takes some minutes and about 1 GB of download.")
    make_venv(venv)
    install(root, venv, ["requirements.txt", "tests/requirements.txt"] if tests else ["requirements.txt"])
    stamp.write_text(wanted)
    say("The environment is ready.")
    return True


def check_python(version):
    if tuple(version[:2]) < NEEDED:
        raise Trouble(
            f"This is Python {version[0]}.{version[1]}; the course needs {NEEDED[0]}.{NEEDED[1]} or later. "
            "Install one (https://www.python.org/downloads), then run it by name, e.g.: make course PYTHON=python3.12"
        )


def stamp_of(root, version, tests=False):
    """A text that changes whenever the environment would: requirements, packages, Python, and the folder's place."""
    digest = hashlib.sha256()
    for name in ("requirements.txt", "pyproject.toml", *(["tests/requirements.txt"] if tests else [])):
        try:
            digest.update((root / name).read_bytes())
        except FileNotFoundError:
            raise Trouble(f"{root / name} is missing. Get the whole repository with `git clone`.") from None
    return f"{version[0]}.{version[1]} {platform.machine()} {root} {digest.hexdigest()}\n"


def python_of(venv):
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def make_venv(venv):
    """Create the virtual environment; one made by another Python, or whose Python is gone, is made anew."""
    if python_of(venv).exists() and venv_version(venv) == "{}.{}".format(*sys.version_info):
        return
    if venv.exists() and not (venv / "pyvenv.cfg").is_file():
        raise Trouble(f"{venv} is there but is not a Python environment. Move it away, then try again.")
    try:
        import ensurepip  # noqa: F401
        import venv as maker
    except ImportError:
        raise Trouble(
            "This Python lacks the modules venv and ensurepip. On Debian or Ubuntu: "
            "sudo apt-get install python{}.{}-venv; then try again.".format(*sys.version_info)
        ) from None
    try:
        maker.EnvBuilder(clear=True, with_pip=True, symlinks=os.name != "nt").create(venv)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Trouble(
            f"{venv} cannot be made ({error}). Check that you may write there and that the disk has room."
        ) from error


def venv_version(venv):
    """The version of the environment's Python, or "" if it does not run."""
    asked = [str(python_of(venv)), "-c", "import sys; print('{}.{}'.format(*sys.version_info))"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, timeout=60).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def install(root, venv, names):
    """Install the requirements in the files `names`, then the course's own packages in place."""
    pip = [str(python_of(venv)), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    log = venv / "install.log"
    files = [root / name for name in names]
    total = sum(bool(re.match(r"[A-Za-z0-9]", line)) for file in files for line in file.read_text().splitlines())
    asked = [word for file in files for word in ("-r", str(file))]
    with log.open("w") as file:
        # Together in one call: a package of the tests must not replace a pinned one, torch least of all.
        step([*pip, "install", "--progress-bar", "off", *asked], file, log, total)
        # Without build isolation nothing more is downloaded; the requirements include setuptools.
        step([*pip, "install", "--no-deps", "--no-build-isolation", "--editable", str(root)], file, log, 1)


def step(command, file, log, total):
    """Run pip, showing how far it is by the packages it has come to; Trouble with the likely cause if it fails."""
    started, seen, text = time.monotonic(), set(), []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in process.stdout:
        text.append(line)
        file.write(line)
        package = re.match(r"(?:Collecting|Requirement already satisfied:) ([A-Za-z0-9._-]+)", line)
        large = re.match(r"\s*Downloading (\S+?)-\d\S* \((\d+\.\d+ GB|\d{2,}\.\d+ MB)\)", line)
        if package:
            seen.add(package.group(1).lower())
            show(
                estimate(min(len(seen), total), total, time.monotonic() - started) + package.group(1),
                len(seen) % 25 == 0,
            )
        elif large:
            show("downloading {} ({})".format(*large.groups()), True)
        elif line.startswith("Installing collected packages") and "," in line:
            show(f"unpacking {line.count(',') + 1} packages, a minute or two", True)
    failed = process.wait()
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if failed:
        raise Trouble(explain("".join(text), log))


def estimate(done, total, seconds):
    """How far it is and, once that can be told, about how long the rest will take."""
    left = seconds / done * (total - done) if done else 0
    return f"{done}/{total} packages" + (f", about {clock(left)} left" if left > 20 and done > 10 else "") + ": "


def explain(text, log):
    """A sentence on why pip failed, from what it printed."""
    if any(sign in text for sign in NETWORK):
        return (
            "The packages could not be downloaded: no connection. "
            f"Check the network (or set HTTPS_PROXY), then try again. ({log})"
        )
    if "No space left on device" in text:
        return f"The disk is full. The environment needs about {NEEDED_GB:g} GB; make room, then try again. ({log})"
    found = re.search(r"No matching distribution found for (\S+)", text)
    if found:
        return (
            f"There is no package {found.group(1)} for Python {platform.python_version()} on {platform.machine()}. "
            f"Another Python may do: make course PYTHON=python3.12. ({log})"
        )
    last = [line.strip() for line in text.splitlines() if line.startswith("ERROR")]
    return f"pip failed: {last[-1] if last else 'it gave no reason'} The whole log is in {log}."


def ensure_chromium():
    """See to it that there is a Chromium for the tests of the book; installs Debian's own where that is possible."""
    if any(map(shutil.which, BROWSERS)):
        return
    manual = (
        "The tests of the book need Chromium. On Debian or Ubuntu: sudo apt-get install chromium; "
        "elsewhere install Chromium or Google Chrome so that its command is on PATH."
    )
    if not (shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0):
        raise Trouble(manual)
    say("Installing Debian's chromium for the tests (about 100 MB).")
    apt_install("chromium", manual)


def ensure_bubblewrap():
    """On Linux, install bubblewrap where that is possible, so that the tests try this kind of isolation too."""
    can = shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0
    if shutil.which("bwrap") or not can:
        return  # the tests try the kinds of isolation that there are
    say("Installing Debian's bubblewrap for the tests.")
    apt_install("bubblewrap", "Install it with: sudo apt-get install bubblewrap.")


def apt_install(package, manual):
    """Install a package of Debian's as root; Trouble with what to do by hand if that fails."""
    quiet = {"env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, "capture_output": True, "text": True}
    for command in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", package]):
        done = subprocess.run(command, **quiet)
        if done.returncode:
            why = (done.stderr.strip() or "no reason given").splitlines()[-1]
            raise Trouble(f"{manual} ({' '.join(command)} failed: {why})")


def show(text, milestone):
    """One live line in a terminal; elsewhere a line at milestones only."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K  " + text[: shutil.get_terminal_size().columns - 3])
        sys.stderr.flush()
    elif milestone:
        say("  " + text)


def clock(seconds):
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


def say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
