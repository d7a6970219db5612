"""No archive, however it is damaged, makes unpacking raise anything but Refused, or write anywhere else."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz import targets
from fuzz.mutations import damaged

many = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
MEMBERS = {"ada/attention.ipynb": b'{"cells": []}' * 20, "ada/data/a.txt": b"abc" * 50, "../x": b"1", "empty": b""}

names = st.text(max_size=12) | st.sampled_from(
    [
        "../x",
        "/etc/passwd",
        "C:\\x",
        "a/./b",
        "a//b",
        ".",
        "..",
        "a/..",
        "\\\\x\\y",
        "./a",
        "con",
        "x" * 400,
        "a\0b",
        "caf\udce9",
    ]
)


def as_zip(members: Any, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as file:
        for name, content in members:
            file.writestr(zipfile.ZipInfo(name), content, method)
    return made.getvalue()


def as_tar(members: Any, form: int = tarfile.PAX_FORMAT, kind: bytes = tarfile.REGTYPE) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as file:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(content), kind, "../../etc/passwd"
            file.addfile(info, io.BytesIO(content))
    return made.getvalue()


ZIPS = [as_zip(MEMBERS.items(), m) for m in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)]
FORMS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
TARS = [as_tar([*MEMBERS.items(), ("n" * 200, b"1")], form) for form in FORMS[1:]] + [as_tar(MEMBERS.items())]


@many
@given(
    st.binary(max_size=400),
    st.sampled_from([b"", b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0"]),
)
def test_noise(data: bytes, magic: bytes) -> None:
    targets.archive(magic + data)


@many
@given(damaged(st.sampled_from(ZIPS)))
def test_damaged_zips(data: bytes) -> None:
    targets.archive(data)


@many
@given(damaged(st.sampled_from(TARS)))
def test_damaged_tars(data: bytes) -> None:
    targets.archive(data)


@many
@given(damaged(st.sampled_from([pack(tar) for tar in TARS for pack in (gzip.compress, bz2.compress, lzma.compress)])))
def test_damaged_compressed_tars(data: bytes) -> None:
    targets.archive(data)


@many
@given(damaged(st.sampled_from(TARS)), st.sampled_from([gzip.compress, bz2.compress, lzma.compress]))
def test_damaged_tars_compressed_whole(data: bytes, pack: Any) -> None:
    targets.archive(pack(data))


@many
@given(st.lists(st.tuples(names, st.binary(max_size=20)), max_size=6), st.sampled_from(FORMS[1:]))
def test_members_of_any_name(members: list[tuple[str, bytes]], form: int) -> None:
    targets.archive(as_tar(members, form))
    writable = {name: content for name, content in members if name and "\udce9" not in name and "\0" not in name}
    targets.archive(as_zip(writable.items()))


@pytest.mark.parametrize("kind", [bytes([number]) for number in range(0, 128)])
def test_members_of_any_kind(kind: bytes) -> None:
    targets.archive(as_tar([("a", b""), ("b", b"x" * 600)], tarfile.GNU_FORMAT, kind))
