"""Honest archives are unpacked whole, others refused or reported with a sentence; nothing escapes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import tempfile
import time
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest

from autograder.grading.intake import archives
from autograder.grading.intake.archives import Refused, is_archive, unpack


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED, **info) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as file:
        for name, data in members.items():
            entry = zipfile.ZipInfo(name, info.get("when", (2026, 5, 1, 12, 0, 0)))
            entry.compress_type = method
            entry.external_attr = info.get("mode", 0o100644) << 16
            file.writestr(entry, data)
    return made.getvalue()


def tarred(*members: tarfile.TarInfo | tuple[str, bytes], kind: str = "w", form: int = tarfile.PAX_FORMAT) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=kind, format=form) as file:
        for member in members:
            if isinstance(member, tuple):
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                info.mtime = 1.75e9
                file.addfile(info, io.BytesIO(member[1]))
            else:
                file.addfile(member)
    return made.getvalue()


def special(name: str, kind: bytes, target: str = "/etc/passwd") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def opened(tmp_path: Path, content: bytes, **options) -> dict[str, tuple[bytes | None, str]]:
    """What comes out: for each name the content, or None with the problem."""
    box = Path(tempfile.mkdtemp(dir=tmp_path))
    path = box / "work.zip"
    path.write_bytes(content)
    into = box / "room" / "1"
    found = unpack(path, "work.zip", into, **options)
    assert all(file.path.parent == into and file.level == 1 for file in found)
    # nothing came out anywhere else, and nothing but numbered files here
    assert {p.name for p in box.iterdir()} == {"work.zip", "room"} and {p.name for p in into.parent.iterdir()} == {"1"}
    assert all(p.name.isdigit() and p.is_file() and not p.is_symlink() for p in into.iterdir())
    return {"/".join(f.parts): (None if f.problem else f.path.read_bytes(), f.problem) for f in found}


TWO = {"ada/attention.ipynb": b"{}", "ada/data.txt": b"1 2 3"}
WHOLE = {name: (data, "") for name, data in TWO.items()}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_zip_is_unpacked(tmp_path, method: int) -> None:
    assert opened(tmp_path, zipped(TWO, method)) == WHOLE


@pytest.mark.parametrize("kind", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_is_unpacked_however_it_is_compressed(tmp_path, kind: str, form: int) -> None:
    assert opened(tmp_path, tarred(*TWO.items(), kind=kind, form=form)) == WHOLE


def test_archives_are_known_by_their_endings() -> None:
    assert all(map(is_archive, ["a.zip", "A.ZIP", "a.tar", "a.tar.gz", "a.tgz", "a.tar.bz2", "a.tbz2", "a.tar.xz"]))
    assert not any(map(is_archive, ["a.ipynb", "a.gz", "a.rar", "zip", "a.zip.txt"]))


def test_names_that_begin_with_a_dot_and_a_slash_are_ordinary(tmp_path) -> None:
    assert opened(tmp_path, tarred(("./ada/attention.ipynb", b"{}"), ("./x", b"1"))) == {
        "ada/attention.ipynb": (b"{}", ""), "x": (b"1", ""),
    }  # fmt: skip


def test_what_programs_leave_behind_is_passed_over(tmp_path) -> None:
    names = ["__MACOSX/._a.ipynb", ".DS_Store", "a/.ipynb_checkpoints/a.ipynb", "a\\__pycache__\\x.pyc", "a/b.txt"]
    assert list(opened(tmp_path, zipped(dict.fromkeys(names, b"x")))) == ["a/b.txt"]


OUTSIDE = ["../x.ipynb", "/etc/x.ipynb", "a/../../x.ipynb", "..\\x.ipynb", "C:\\x.ipynb", "C:x.ipynb", "\\\\host\\x"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_points_outside_is_told(tmp_path, name: str) -> None:
    for content in (zipped({name: b"{}", "good": b"1"}), tarred((name, b"{}"), ("good", b"1"))):
        found = opened(tmp_path, content)
        assert found.pop("good") == (b"1", "")
        assert [problem for _, problem in found.values()] == ["its name points outside of the archive"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_links_and_devices_in_a_tar_are_told_and_not_made(tmp_path, kind: bytes) -> None:
    found = opened(tmp_path, tarred(special("x.ipynb", kind), ("good", b"1")))
    assert found == {"x.ipynb": (None, "it is a link or a device, not a file"), "good": (b"1", "")}


def test_a_link_in_a_zip_is_told(tmp_path) -> None:
    found = opened(tmp_path, zipped({"x.ipynb": b"/etc/passwd"}, mode=0o120777))
    assert found == {"x.ipynb": (None, "it is a link or a device, not a file")}


def test_a_zip_of_a_system_without_modes_is_taken(tmp_path) -> None:
    assert opened(tmp_path, zipped({"x": b"1"}, mode=0)) == {"x": (b"1", "")}


def test_an_encrypted_member_is_told(tmp_path) -> None:
    content = bytearray(zipped({"secret.ipynb": b"{}"}))
    content[6] |= 1  # in the local header
    content[content.index(b"PK\x01\x02") + 8] |= 1
    assert "without a password" in opened(tmp_path, bytes(content))["secret.ipynb"][1]


def test_a_method_that_asks_for_unknown_memory_is_told(tmp_path) -> None:
    assert "packed in an unusual way" in opened(tmp_path, zipped({"x": b"1"}, zipfile.ZIP_LZMA))["x"][1]


def test_a_damaged_member_costs_only_itself(tmp_path) -> None:
    content = bytearray(zipped({"bad": os.urandom(5000), "good": b"1"}))
    content[2000:2010] = b"\0" * 10
    found = opened(tmp_path, bytes(content))
    assert found["good"] == (b"1", "") and "damaged" in found["bad"][1]


def test_a_bomb_in_a_zip_costs_only_itself(tmp_path) -> None:
    found = opened(tmp_path, zipped({"bomb.ipynb": b"\0" * 15_000_000, "good": b"1"}))
    assert found["good"] == (b"1", "") and "unpacks to more than 200 times" in found["bomb.ipynb"][1]


def test_a_bomb_that_lies_about_its_size_is_found_while_it_is_unpacked(tmp_path) -> None:
    content = bytearray(zipped({"bomb.ipynb": b"\0" * 60_000_000}))
    at = content.index(b"PK\x01\x02")
    content[at + 24 : at + 28] = (500_000).to_bytes(4, "little")
    # the member has 60 MB of zeros, its entry says half a megabyte
    ((data, problem),) = opened(tmp_path, bytes(content)).values()
    assert data is None and problem
    assert sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file()) < 2_000_000


def test_too_large_a_file_is_told_and_an_archive_of_many_is_refused(tmp_path, monkeypatch) -> None:
    noise = os.urandom(1 << 20)
    found = opened(tmp_path, zipped({"big.ipynb": noise * 21, "good": b"1"}, zipfile.ZIP_STORED))
    assert "more than 20 MB" in found["big.ipynb"][1] and found["good"] == (b"1", "")
    for content in (
        zipped({str(i): noise for i in range(6)}, zipfile.ZIP_STORED), tarred(*((str(i), noise) for i in range(6)))
    ):  # fmt: skip
        (tmp_path / "work.zip").write_bytes(content)
        with pytest.raises(Refused, match="unpacks to more than 5 MB"):
            unpack(tmp_path / "work.zip", "work.zip", tmp_path / f"x{len(content)}", total=5_000_000)


def test_a_compressed_tar_may_not_grow_beyond_all_measure(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(archives, "MODEST", 1_000_000)
    content = tarred(*((f"{i}.ipynb", b"\0" * 10_000_000) for i in range(9)), kind="w:gz")
    (tmp_path / "work.tgz").write_bytes(content)
    with pytest.raises(Refused, match="unpacks to more than"):
        unpack(tmp_path / "work.tgz", "work.tgz", tmp_path / "room")


def test_a_tar_that_claims_a_terabyte_is_refused_at_once(tmp_path) -> None:
    info = tarfile.TarInfo("x.ipynb")
    info.size = 1 << 40
    (tmp_path / "work.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 1024)
    with pytest.raises(Refused, match="unpacks to more than"):
        unpack(tmp_path / "work.tar", "work.tar", tmp_path / "room")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_of_a_gigabyte_is_not_read_into_memory(tmp_path, kind: bytes) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, 1 << 30
    path = tmp_path / "work.tgz"
    with gzip.open(path, "wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        for _ in range(64):
            file.write(b"1" * (1 << 20))
    tracemalloc.start()
    with pytest.raises(Refused, match="headers are larger"):
        unpack(path, "work.tgz", tmp_path / "room")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30_000_000


def test_many_headers_one_after_the_other_are_refused(tmp_path) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 512
    block = header.tobuf(tarfile.GNU_FORMAT) + b"n" * 512
    (tmp_path / "work.tar").write_bytes(block * 4000 + b"\0" * 1024)
    with pytest.raises(Refused):
        unpack(tmp_path / "work.tar", "work.tar", tmp_path / "room")


def test_an_xz_that_asks_for_gigabytes_is_refused(tmp_path) -> None:
    path = tmp_path / "work.tar.xz"
    packer = lzma.LZMACompressor(lzma.FORMAT_XZ, filters=[{"id": lzma.FILTER_LZMA2, "preset": 0}])
    honest = packer.compress(tarred(("x", b"1"))) + packer.flush()
    # the size of the dictionary stands in the block's header, whose checksum is mended
    at = honest.index(b"\x21\x01")
    forged = bytearray(honest)
    forged[at + 2] = 38  # 2 GiB
    forged[20:24] = zlib.crc32(forged[12:20]).to_bytes(4, "little")
    path.write_bytes(bytes(forged))
    with pytest.raises(Refused, match="[Mm]emory"):
        unpack(path, "work.tar.xz", tmp_path / "room")


def test_too_many_members_are_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 50)
    many = {str(i): b"" for i in range(51)}
    for index, content in enumerate((zipped(many), tarred(*many.items()))):
        (tmp_path / "work").write_bytes(content)
        with pytest.raises(Refused, match="members"):
            unpack(tmp_path / "work", "work", tmp_path / f"room{index}")


def test_a_list_of_members_of_any_length_is_not_read(tmp_path) -> None:
    end = b"PK\x05\x06" + b"\0" * 8 + (500_000_000).to_bytes(4, "little") + b"\0" * 6
    path = tmp_path / "work.zip"
    with path.open("wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(600_000_000)
        file.seek(0, io.SEEK_END)
        file.write(end)
    with pytest.raises(Refused, match="list of members"):
        unpack(path, "work.zip", tmp_path / "room")


@pytest.mark.parametrize(
    "content",
    [b"", b"PK", b"PK\x03\x04" + b"\0" * 100, b"not an archive", gzip.compress(b"no tar"), bz2.compress(b"no tar"),
     lzma.compress(b"no tar"), zipped(TWO)[:-30], tarred(*TWO.items(), kind="w:gz")[:60], b"\x1f\x8b", b"\xfd7zXZ\0"],
    ids=[f"kind {number}" for number in range(11)],  # the bytes hold the time of day
)  # fmt: skip
def test_what_is_no_archive_is_refused(tmp_path, content: bytes) -> None:
    (tmp_path / "work.zip").write_bytes(content)
    with pytest.raises(Refused):
        unpack(tmp_path / "work.zip", "work.zip", tmp_path / "room")


def test_a_link_or_pipe_called_like_an_archive_is_refused_and_not_waited_for(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe.zip")
    (tmp_path / "link.zip").symlink_to("/etc/passwd")
    for name in ("pipe.zip", "link.zip"):
        with pytest.raises(Refused, match="a link or a device"):
            unpack(tmp_path / name, name, tmp_path / f"room-{name}")


@pytest.mark.parametrize("when", [(1980, 0, 0, 0, 0, 0), (2107, 15, 31, 31, 63, 62), (1980, 1, 1, 0, 0, 0)])
def test_garbage_times_in_a_zip_are_no_times(tmp_path, when: tuple[int, ...]) -> None:
    content = bytearray(zipped({"x": b"1"}))
    year, month, day, hour, minute, second = when
    stamp = (hour << 11 | minute << 5 | second // 2) | ((year - 1980) << 9 | month << 5 | day) << 16
    at = content.index(b"PK\x01\x02")
    content[at + 12 : at + 16] = stamp.to_bytes(4, "little")
    (tmp_path / "work.zip").write_bytes(content)
    (file,) = unpack(tmp_path / "work.zip", "work.zip", tmp_path / "room")
    assert file.when is None and file.problem == ""


@pytest.mark.parametrize("when", [-1, 0, 2**33, 1e18, float("nan"), float("inf")])
def test_garbage_times_in_a_tar_are_no_times(tmp_path, when: float) -> None:
    info = tarfile.TarInfo("x")
    info.pax_headers = {"mtime": str(when)}
    (tmp_path / "work.tar").write_bytes(tarred(info))
    (file,) = unpack(tmp_path / "work.tar", "work.tar", tmp_path / "room")
    assert file.when is None and file.problem == ""


def test_a_believable_time_is_kept_to_tell_which_version_is_newer(tmp_path) -> None:
    (tmp_path / "work.zip").write_bytes(zipped({"x": b"1"}))
    (file,) = unpack(tmp_path / "work.zip", "work.zip", tmp_path / "room")
    assert time.gmtime(file.when)[:5] == (2026, 5, 1, 12, 0)


def test_names_that_no_file_can_have_are_told_shortened(tmp_path) -> None:
    found = opened(tmp_path, zipped({"a/" * 30 + "x": b"1", "y" * 300: b"1", "z" * 3000: b"1", "good": b"1"}))
    assert found.pop("good") == (b"1", "") and len(found) == 3
    assert all(problem == "its name is too long" and len(name) <= 101 for name, (_, problem) in found.items())
