"""A Jupyter kernel inside a box: IPython's own, on sockets that were opened outside and handed in.

So its messages need neither a network nor a folder that both sides see.
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import zmq
from ipykernel import heartbeat, iostream, kernelapp
from ipykernel.ipkernel import IPythonKernel
from ipykernel.zmqshell import ZMQInteractiveShell
from traitlets import Type
from traitlets.config import Config
from zmq.eventloop.zmqstream import ZMQStream

from autograder.sandbox.shell import Shell

CHANNELS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")
# imported before the first fork where kernels are forked
PRELOADED = ("ipykernel.ipkernel", "ipykernel.zmqshell")


class Descriptors:
    """The listening sockets that were handed in, by the number of their channel."""

    by_number: dict[int, int] = {}

    @classmethod
    def bind(cls, sock: zmq.Socket[Any], ip: str, number: int) -> int:
        """Bind a socket to the one that listens already; the address is told for form's sake."""
        sock.setsockopt(zmq.USE_FD, cls.by_number[number])
        sock.bind(f"ipc://{ip}-{number}")
        return number


class Heartbeat(heartbeat.Heartbeat):
    """Answers pings."""

    def _try_bind_socket(self) -> None:
        Descriptors.bind(self.socket, self.ip, self.port)


class IOPubThread(iostream.IOPubThread):
    """Sends outputs; what forked processes print reaches it through a file, for no network is there to do so."""

    def _setup_pipe_in(self) -> None:
        self._pipe_uuid = os.urandom(16)
        self._pipe_address = f"ipc://{Path.home()}/.printed"
        pipe = self.socket.context.socket(zmq.PULL)
        pipe.linger = 0
        pipe.bind(self._pipe_address)
        self._pipe_in = ZMQStream(pipe, self.io_loop)
        self._pipe_in.on_recv(self._handle_pipe_msg)

    def _setup_pipe_out(self) -> tuple[zmq.Context[Any], zmq.Socket[Any]]:
        context = zmq.Context()  # a fork cannot use the one of its parent
        pipe = context.socket(zmq.PUSH)
        pipe.linger = 3000
        pipe.connect(self._pipe_address)
        return context, pipe


class KernelShell(ZMQInteractiveShell):
    """IPython's shell; commands run without a terminal, for there is none."""

    system = system_piped = Shell.system


class Kernel(IPythonKernel):
    """IPython's kernel, with that shell."""

    shell_class = Type(KernelShell)


class KernelApp(kernelapp.IPKernelApp):
    """Starts it, on sockets that listen already."""

    kernel_class = Type(Kernel, klass=Kernel).tag(config=True)

    def _try_bind_socket(self, s: zmq.Socket[Any], port: int) -> int:
        return Descriptors.bind(s, self.ip, port)


def run(connection: socket.socket) -> None:
    """Take the connection's data and sockets, and be a kernel until the end."""
    data, descriptors, _, _ = socket.recv_fds(connection, 65536, len(CHANNELS))
    setup = json.loads(data)
    os.environ.update(setup["environment"])
    info = setup["connection"]
    Descriptors.by_number = dict(zip((info[name] for name in CHANNELS), descriptors, strict=True))
    kernelapp.Heartbeat, kernelapp.IOPubThread = Heartbeat, IOPubThread
    file = Path.home() / ".kernel.json"
    file.write_text(json.dumps(info))
    config = Config()
    config.HistoryManager.hist_file = ":memory:"
    app = KernelApp.instance(connection_file=str(file), config=config)
    app.initialize([])
    file.unlink()
    app.start()
