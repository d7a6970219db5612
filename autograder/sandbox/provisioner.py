"""Jupyter's way to the sandbox: a kernel called by name, by nbgrader, nbclient or any other client, runs in a box.

The kernel checks inside, as a student's own does, so that its verdicts are as honest as its code; what it isolates is
the machine. `python -m autograder.sandbox.provisioner` stands in kernel.json where other kernels have their program,
so that a client which knows no provisioners starts nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.provisioning import KernelProvisionerBase
from traitlets import Dict

from autograder.sandbox import keeper
from autograder.sandbox.host import Box, SandboxError
from autograder.sandbox.jupyter_kernel import CHANNELS
from autograder.sandbox.limits import Limits

NAME = "autograder"
MAX_PATH = 100
PASSED_ON = ("AUTOGRADER_SEED",)
SPEC = {
    "argv": [sys.executable, "-m", "autograder.sandbox.provisioner", "{connection_file}"],
    "display_name": "Python 3 (isolated)",
    "language": "python",
    "metadata": {"kernel_provisioner": {"provisioner_name": "autograder-box", "config": {"limits": {}}}},
}


def install(prefix: str = sys.prefix) -> Path:
    """Make the kernel known to the environment at `prefix`; returns the folder of its kernel.json."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "kernel.json").write_text(json.dumps(SPEC, indent=1) + "\n")
        return Path(KernelSpecManager().install_kernel_spec(folder, NAME, prefix=prefix))


class BoxProvisioner(KernelProvisionerBase):
    """Starts, interrupts and ends a kernel in a box of this user's warm zygote."""

    limits = Dict(help="What a kernel may use, such as {'memory_mb': 2048}.").tag(config=True)

    box: Box | None = None
    code: int | None = None
    folder: Path | None = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.held = ExitStack()

    @property
    def has_process(self) -> bool:
        """Whether there is a kernel that has not been waited for."""
        return self.box is not None

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Have the manager and its clients talk through sockets in a private folder."""
        manager = self.parent
        if self.folder is None:
            self.folder = Path(tempfile.mkdtemp(prefix="jk-", dir=short_folder()))
            manager.transport, manager.ip = "ipc", str(self.folder / "k")
        manager.write_connection_file()
        self.connection_info = manager.get_connection_info()
        kwargs.pop("extra_arguments", None)  # they are for a program, which is not started
        return await super().pre_launch(cmd=[], **kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Open a box, and hand the sockets that clients will connect to into it."""
        address = await asyncio.to_thread(self._address)
        environment = {name: kwargs["env"][name] for name in PASSED_ON if name in kwargs.get("env", {})}
        info = {name: value.decode() if isinstance(value, bytes) else value
                for name, value in self.connection_info.items()}  # fmt: skip
        with ExitStack() as stack:
            sockets = [stack.enter_context(listen(f"{info['ip']}-{info[name]}")) for name in CHANNELS]
            self.code, self.box = None, address.open(Limits.of(self.limits), "jupyter")
            setup = json.dumps({"connection": info, "environment": environment}).encode()
            socket.send_fds(self.box.sock, [setup], [sock.fileno() for sock in sockets])
        return self.connection_info

    def _address(self) -> keeper.Address:
        self.held.close()
        return self.held.enter_context(keeper.hold())

    async def poll(self) -> int | None:
        """The exit status, negative for a signal, or None while the kernel runs."""
        if self.box is None or self.code is not None:
            return self.code if self.code is not None else 0
        if select.select([self.box.lifeline], [], [], 0)[0]:
            said = self.box.ended()
            code = int(said.get("code", 0))
            ways = {"exit": code, "signal": -code, "lost": 1, "fault": 1}
            if "ended" in said:
                self.code = ways.get(str(said["ended"]), -signal.SIGKILL)
        return self.code

    async def wait(self) -> int | None:
        """The exit status, once the kernel has ended."""
        while (code := await self.poll()) is None:
            await asyncio.sleep(0.05)
        if self.box is not None:
            self.box.close()
            self.box = None
        return code

    async def send_signal(self, signum: int) -> None:
        """Interrupt the kernel and what it has started, or end it; signals but SIGINT, SIGTERM, SIGKILL are dropped."""
        if self.box is None or self.code is not None:
            return
        if signum == signal.SIGINT:
            with contextlib.suppress(OSError):
                self.box.lifeline.sendall(b"i")
        elif signum in (signal.SIGTERM, signal.SIGKILL):
            self.box.close()
            self.code = -signum

    async def kill(self, restart: bool = False) -> None:
        """End it and all it has started."""
        await self.send_signal(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:
        """The same: there is nothing outside of the box that it could put in order."""
        await self.send_signal(signal.SIGTERM)

    async def cleanup(self, restart: bool = False) -> None:
        """Remove the sockets' folder, and let go of the zygote."""
        if restart:
            return
        self.held.close()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None


def short_folder() -> str:
    """A folder for temporary files whose sockets have names that are short enough for the system."""
    usual = tempfile.gettempdir()
    if len(usual) + len("/jk-12345678/k-12345") <= MAX_PATH:
        return usual
    return "/tmp"


def listen(path: str) -> socket.socket:
    """A socket that listens at this path; what was left there by a kernel before is replaced."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.bind(path)
        sock.listen(64)
    except OSError as error:
        sock.close()
        raise SandboxError(f"the kernel's socket {path} cannot be made ({error})") from error
    return sock


if __name__ == "__main__":
    sys.exit("This kernel is started by its provisioner. Install the course's packages where this client runs.")
