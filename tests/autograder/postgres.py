"""A PostgreSQL server for the tests, where this machine has its programs."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text


def programs() -> Path | None:
    """The folder of initdb and postgres, or None if they are not installed."""
    places = [*(Path(found).resolve().parent for found in [shutil.which("postgres")] if found)]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").exists()), None)


@contextmanager
def server() -> Iterator[str]:
    """Start a server on a socket of its own; yields its address, with {} for the database's name."""
    bin = programs()
    # It refuses to run as root.
    user = {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    if user:
        shutil.chown(folder, "nobody")
    nowhere = subprocess.DEVNULL
    calm = {"stdin": nowhere, "stdout": nowhere, "stderr": nowhere, "cwd": folder, "check": True}
    control = [bin / "pg_ctl", "-D", folder / "data", "-w"]
    try:
        subprocess.run([bin / "initdb", "-D", folder / "data", "-U", "ada", "-A", "trust", "-N"], **calm, **user)
        options = f"-k {folder} -c listen_addresses= -c fsync=off"
        subprocess.run([*control, "-o", options, "start"], **calm, **user)
        try:
            yield f"postgresql://ada@/{{}}?host={folder}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], **calm, **user)
    finally:
        shutil.rmtree(folder)


def create_database(address: str, name: str) -> None:
    engine = create_engine(address.format("postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
