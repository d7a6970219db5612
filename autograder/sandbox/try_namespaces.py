"""Try whether this machine lets us make the namespaces that isolation needs; what it does not allow is said."""

from __future__ import annotations

import os
import sys
import tempfile

from autograder.sandbox import linux, root


def main() -> int:
    """Do once, with an empty view, what a zygote does at its start; returns an exit status."""
    uid, gid = os.getuid(), os.getgid()
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(f"{folder}/root")
        os.mkdir(f"{folder}/view")
        child = os.fork()
        if child:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        status = 1
        try:
            linux.unshare(linux.NAMESPACES | (0 if uid == 0 else linux.NEWUSER))
            if uid:
                linux.map_ids(uid, gid, 1000)
            status = _inside(folder)
        except OSError as error:
            print(error.strerror or error, file=sys.stderr)
        finally:
            os._exit(status)


def _inside(folder: str) -> int:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        root.build(f"{folder}/root", f"{folder}/view")
        # once more, as every submission does
        linux.unshare(linux.NEWUSER | linux.NEWNS)
        status = 0
    except OSError as error:
        print(error.strerror or error, file=sys.stderr)
    finally:
        os._exit(status)


if __name__ == "__main__":
    sys.exit(main())
