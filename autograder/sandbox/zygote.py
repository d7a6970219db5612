"""A process that has imported what notebooks need and forks once for each submission.

It runs in the sandbox that `autograder.sandbox.launch` makes, knows no secret, and runs no operation of torch: a fork
of a process whose threads have computed would hang.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterable

from autograder.sandbox import kernel

# imported before the first fork, so that no submission pays for it; the later ones are what torch imports at the
# first use of a feature that probes or notebooks use
PRELOADED = (
    "torch", "numpy", "numpy.random", "numpy.fft", "einops", "einops.layers.torch", "torch.nn.functional",
    "torch._meta_registrations", "torch.utils._device", "statistics",
    "torch._decomp", "torch._refs", "torch.func", "torch.utils.data",
    "einops._backends", "autograder.probe", "autograder.sandbox.runner", "autograder.check",
)  # fmt: skip
# not before somebody's notebook draws: it takes a third of a second, and few do
PLOTTING = ("matplotlib.pyplot", "matplotlib_inline.backend_inline")
# torch imports it for derivatives of functions and for modules of the course from later rooms on; it takes a second
LATER = ("torch._dynamo",)
LIGHT_ROOMS = ("tokens", "attention", "positions")


def main() -> None:
    """Import, say that all is ready, and then fork for every connection; never returns."""
    listener, ready, room = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), sys.argv[3]
    silence()
    os.environ.pop("GLIBC_TUNABLES", None)  # meant for this process, not for those that students start
    load(PRELOADED if room in LIGHT_ROOMS else PRELOADED + LATER)
    if "jupyter" in sys.argv[4:]:
        load(PLOTTING)
        load(importlib.import_module("autograder.sandbox.jupyter_kernel").PRELOADED)
    else:
        importlib.import_module("autograder.sandbox.runner").prepare()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are not waited for: let the system bury them
    gc.freeze()
    os.write(ready, b"ready")
    os.close(ready)
    while True:
        connection, _ = listener.accept()
        if b'"mode": "plots"' in connection.recv(kernel.MOST_ASKED, socket.MSG_PEEK):
            load(PLOTTING)
        if os.fork() == 0:
            listener.close()
            os._exit(kernel.supervise(connection))
        connection.close()


def load(names: Iterable[str]) -> None:
    """Import modules, and leave them out of every search for garbage: forks share what nobody touches."""
    gc.disable()  # it would search all of them meanwhile, which takes a fifth of the time
    for name in names:
        importlib.import_module(name)
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join()  # matplotlib's, which waited for its search for fonts: a fork takes no threads along
    gc.freeze()
    gc.enable()


def silence() -> None:
    """Standard input and output lead nowhere; what is written to standard error is the grader's log till `ready`."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    os.close(nowhere)
