"""An IPython shell without a terminal or messages: it runs cells and gathers what they show."""

from __future__ import annotations

import builtins
import os
import subprocess
import sys
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.error import StdinNotImplementedError
from IPython.core.interactiveshell import InteractiveShell
from traitlets import Type
from traitlets.config import Config

from autograder.sandbox.outputs import Outputs, Stream

NO_INPUT = "raw_input was called, but this frontend does not support input requests."


class Publisher(DisplayPublisher):
    """Gives what `display` shows to the outputs of the cell."""

    def publish(self, data: dict[str, Any], metadata: Any = None, **options: Any) -> None:
        """Keep one displayed object."""
        self.shell.outputs.show("display_data", data)

    def clear_output(self, wait: bool = False) -> None:
        """Forget what the cell has shown."""
        self.shell.outputs.clear()


class Hook(DisplayHook):
    """Gives the value of a cell's last line to the outputs of the cell."""

    def write_output_prompt(self) -> None:
        """There is no prompt."""

    def write_format_data(self, format_dict: dict[str, Any], md_dict: Any = None) -> None:
        """Keep the value in its forms."""
        self.shell.outputs.show("execute_result", format_dict)

    def finish_displayhook(self) -> None:
        """Nothing to finish: no line was begun."""


class Shell(InteractiveShell):
    """The interpreter that a submission's cells run in."""

    display_pub_class = Type(Publisher)
    displayhook_class = Type(Hook)
    outputs = Outputs(0)

    def _showtraceback(self, etype: type, evalue: Any, stb: list[str]) -> None:
        try:
            text = str(evalue)
        except Exception as error:
            text = f"<its message raises {type(error).__name__}>"
        self.outputs.error(etype.__name__, text, [str(line) for line in stb])

    def system(self, cmd: str) -> None:
        """`!command`: run it and print what it says; there is no terminal for it."""
        with subprocess.Popen(cmd, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace") as process:  # fmt: skip
            for line in process.stdout:
                sys.stdout.write(line)
        self.user_ns["_exit_code"] = process.returncode

    def enable_gui(self, gui: str | None = None) -> None:
        """There are no windows here."""

    def ask_exit(self) -> None:
        """`exit` and `quit` end Python, as they do in a notebook."""
        os._exit(0)

    def run(self, source: str, most: int) -> None:
        """Run one cell; `outputs` then has what it has shown, with at most `most` characters of text."""
        self.outputs = Outputs(most)
        streams = []
        for name in ("stdout", "stderr"):
            streams.append(Stream(name))
            streams[-1].outputs = self.outputs
        sys.stdout, sys.stderr = streams
        self.run_cell(source, store_history=True)


def make() -> Shell:
    """The shell, made once before the first fork."""
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    config.InteractiveShell.cache_size = 100
    shell = Shell.instance(config=config)
    shell.exit_now = False
    for name in ("input", "raw_input"):
        setattr(builtins, name, refuse_input)
    return shell


def refuse_input(*_: Any) -> str:
    """Nobody sits at the keyboard."""
    raise StdinNotImplementedError(NO_INPUT)
