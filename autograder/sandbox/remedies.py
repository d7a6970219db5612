"""What would make a kind of isolation possible on a machine that lacks it: commands to type, found by looking at it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

# settings that keep ordinary users from making user namespaces, the value that does, and the one that does not
SWITCHES = {
    "user.max_user_namespaces": ("0", "15000"),
    "kernel.unprivileged_userns_clone": ("0", "1"),  # Debian's own
    "kernel.apparmor_restrict_unprivileged_userns": ("1", "0"),  # Ubuntu from 23.10 on
}
INSTALL = {"debian": "sudo apt-get install -y {}", "fedora": "sudo dnf install -y {}"}
OPEN_CONTAINER = (
    "this runs in a container, which allows no other inside. Start it with "
    "`--security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined` "
    "(Docker) or `--security-opt unmask=ALL` (Podman), or grade outside of it"
)


@dataclass(frozen=True)
class System:
    """What is known of a machine: Python's name of the platform, its Linux, and whether all of it is a container."""

    platform: str = "linux"
    release: str = ""
    distribution: str = ""
    in_container: bool = False
    settings: dict[str, str] = field(default_factory=dict)

    @classmethod
    def here(cls) -> System:
        """This machine."""
        named = dict(line.split("=", 1) for line in _read("/etc/os-release").splitlines() if "=" in line)
        likes = f"{named.get('ID', '')} {named.get('ID_LIKE', '')}".replace('"', "").split()
        kinds = {"ubuntu": "debian", "rhel": "fedora", "centos": "fedora"}
        distribution = next((d for d in (kinds.get(name, name) for name in likes) if d in INSTALL), "")
        inside = any(map(os.path.exists, ("/.dockerenv", "/run/.containerenv")))
        settings = {name: _read(f"/proc/sys/{name.replace('.', '/')}").strip() for name in SWITCHES}
        return cls(sys.platform, _read("/proc/sys/kernel/osrelease").strip(), distribution, inside, settings)

    def install(self, debian: str, fedora: str | None = None) -> str:
        """The command that installs a package here, or both where the system is another one."""
        packages = {"debian": debian, "fedora": fedora or debian}
        commands = {name: f"`{INSTALL[name].format(packages[name])}`" for name in INSTALL}
        both = f"{commands['debian']} (Debian, Ubuntu) or {commands['fedora']} (Fedora)"
        return commands.get(self.distribution, both)


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""  # not this system's


def for_namespaces(system: System) -> str:
    """What would let ordinary users make namespaces."""
    if system.platform == "win32":
        return "install Linux in Windows with `wsl --install` and grade there; WSL 2 has all it takes"
    if system.platform != "linux":
        return "only Linux has them: grade in a container (below), in a virtual machine or on a Linux server"
    if "Microsoft" in system.release:  # WSL 2 writes it in small letters
        return "this is WSL 1, which has none: `wsl --set-version <name of this Linux> 2` in Windows"
    closed = [f"{name}={SWITCHES[name][1]}" for name, value in system.settings.items() if value == SWITCHES[name][0]]
    if closed:
        settings = "\\n".join(closed)
        return f"`printf '{settings}\\n' | sudo tee /etc/sysctl.d/60-namespaces.conf && sudo sysctl --system`"
    if system.in_container:
        return OPEN_CONTAINER
    return "grade on a machine, or with a kernel, that lets ordinary users make user namespaces"


def for_bwrap(system: System) -> str:
    """What would make bubblewrap work."""
    if system.platform != "linux":
        return "only Linux has it"
    if system.in_container:
        return f"{system.install('bubblewrap')}, and as for namespaces"
    return f"{system.install('bubblewrap')}; if it is there, as for namespaces"


def for_container(system: System) -> str:
    """What would make containers work."""
    if system.platform == "darwin":
        return "install Docker Desktop (https://docs.docker.com/desktop) or `brew install podman`, and start it"
    if system.platform == "win32":
        return "as for namespaces: grade in WSL 2"
    if system.in_container:
        return "grade outside of this container; one inside another needs rights that undo what it is for"
    docker = "start the service with `sudo systemctl start docker` and be in its group"
    return f"{system.install('podman')}; or, with Docker, {docker}"


REMEDIES = {"namespaces": for_namespaces, "bwrap": for_bwrap, "container": for_container}
