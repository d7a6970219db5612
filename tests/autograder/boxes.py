"""Run a few lines of Python in a box and look at what they found."""

from __future__ import annotations

import json
import time
from typing import Any

from autograder.sandbox.limits import Limits
from autograder.sandbox.session import Session

LIMITS = Limits(cell_seconds=60, submission_seconds=120, memory_mb=512, disk_mb=16, files=500, processes=24)
PRELUDE = """
import ctypes, errno, json, os, resource, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
tried = {}

def attempt(name, function):
    "What it returns, or the name of the error that it raises."
    try:
        tried[name] = str(function())
    except OSError as error:
        tried[name] = errno.errorcode.get(error.errno, str(error))
    except Exception as error:
        tried[name] = type(error).__name__

def call(number, *arguments):
    "A system call by number: 'ok', or the name of its error."
    ctypes.set_errno(0)
    result = libc.syscall(number, *(ctypes.c_long(a) for a in (*arguments, 0, 0, 0, 0, 0, 0)[:6]))
    return "ok" if result >= 0 else errno.errorcode[ctypes.get_errno()]
"""


class Inside:
    """A box of `address`; called with the lines of a cell, it runs them there and returns their `found`."""

    def __init__(self, address: Any, limits: Limits = LIMITS, mode: str = "cells") -> None:
        self.box = address.open(limits, mode)
        self.session = Session(self.box, limits, time.monotonic() + limits.submission_seconds)
        self.session.cell(PRELUDE)

    def __call__(self, lines: str) -> Any:
        outputs, _ = self.session.cell(f"found = None\n{lines}\nprint(json.dumps(found))")
        if len(outputs) != 1 or outputs[0]["output_type"] != "stream":
            raise AssertionError(f"the cell did not end well: {outputs}")
        return json.loads(outputs[0]["text"])

    def __enter__(self) -> Inside:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()
