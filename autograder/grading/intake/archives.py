"""Archives that students or learning platforms make, unpacked so that no name, link or bomb in them does harm.

Members are read as streams, under limits, into numbered files of a private folder; their own names become data.
"""

from __future__ import annotations

import bz2
import calendar
import gzip
import io
import lzma
import re
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from autograder.grading.intake.found import HIDDEN, HIDDEN_WORK, SKIPPED, Found, believable, printable, told
from autograder.grading.rebuild.notebook import MAX_BYTES, Unreadable, open_regular

SUFFIX = re.compile(r"(?i)\.(zip|tar|tar\.gz|tgz|tar\.bz2|tbz2?|tar\.xz|txz)$")
OTHERS = re.compile(r"(?i)\.(rar|7z|gz|bz2|xz|zst|tar\.zst|lzh|cab|dmg|iso)$")
MAX_MEMBERS = 20_000
MAX_TOTAL = 4_000_000_000
MAX_INNER = 200_000_000  # an archive in the archive
MAX_RATIO = 200
SMALL = 1_000_000  # below this no ratio of a member is suspicious
MODEST = 100_000_000  # nor below this that of a whole archive
MAX_NAME = 1_000
MAX_PARTS = 20
MAX_DIRECTORY = 6_000_000  # of a zip: some 50 bytes a member on the disk, ten times that in memory
MAX_TAR_HEADERS = 4_000_000  # in all, besides this many bytes a member
TAR_HEADER = 3_072
XZ_MEMORY = 128_000_000
CHUNK = 1 << 20
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2}


class Refused(Exception):
    """The archive cannot be unpacked; the message says why, for a person."""


def is_archive(name: str) -> bool:
    """Whether a file of this name is one that `unpack` takes."""
    return SUFFIX.search(name) is not None


def stem(name: str) -> str:
    """The name without the archive's ending."""
    return SUFFIX.sub("", name)


def unpack(path: Path, source: str, into: Path, total: int = MAX_TOTAL, level: int = 1) -> list[Found]:
    """The members of an archive, at most `total` bytes of them, written to numbered files in the new folder `into`.

    `source` is what messages call the archive, `level` how many archives deep its members are.

    A member that is not taken (a link, a name that points outside, encrypted, too large) is in the list with its
    problem. Folders, hidden files and what programs leave behind are passed over.

    Raises:
        Refused: it is not an archive, is damaged, or breaks a limit as a whole.
    """
    try:
        into.mkdir(parents=True)
        with open_regular(path) as file:
            magic = file.read(6)
            total = min(total, max(MODEST, MAX_RATIO * file.seek(0, io.SEEK_END)))
            file.seek(0)
            zipped = magic[:2] == b"PK"
            members = told(list((unzip if zipped else untar)(file, source, into, total, level)))
    except Unreadable as error:
        raise Refused(str(error)) from None
    except Refused:
        raise
    except OSError as error:
        raise Refused(f"it cannot be unpacked ({printable(error.strerror or str(error))})") from None
    except MemoryError:
        raise Refused("it needs too much memory to be unpacked") from None
    except Exception as error:  # Python's readers raise whatever a damaged archive makes them trip over
        raise Refused(f"it is damaged or not an archive ({type(error).__name__}: {printable(str(error))})") from None
    if not members:
        raise Refused("it is empty, or not an archive")
    return members


def unzip(file: BinaryIO, source: str, into: Path, total: int, level: int) -> Iterator[Found]:
    if directory_size(file) > MAX_DIRECTORY:
        raise Refused("its list of members is larger than that of any honest archive")
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if len(members) > MAX_MEMBERS:
            raise Refused(f"it has {len(members):,} members, more than the {MAX_MEMBERS:,} allowed")
        left = total
        for index, member in enumerate(members):
            parts, problem = safe_parts(member.filename)
            if member.is_dir() or passed_over(parts):
                continue
            if member.flag_bits & 0x1:
                problem = problem or "it is encrypted: hand it in without a password"
            elif stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
                problem = problem or "it is a link or a device, not a file"
            elif member.compress_type not in METHODS:
                problem = problem or "it is packed in an unusual way: pack it again as an ordinary zip"
            elif member.file_size > SMALL and member.file_size > MAX_RATIO * max(1, member.compress_size):
                problem = problem or f"it unpacks to more than {MAX_RATIO} times its size"
            target = into / f"{index}"
            if not problem:
                try:
                    with archive.open(member) as stream:
                        size, problem = save(stream, target, min(limit(parts[-1]), left), member.compress_size)
                    left -= size
                except (zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
                    problem = f"it is damaged ({printable(str(error)) or type(error).__name__})"
                except Exception as error:  # zlib's and bz2's own
                    problem = f"it is damaged ({type(error).__name__})"
                if left <= 0:
                    raise Refused(f"it unpacks to more than {total / 1e6:.0f} MB")
            yield Found(parts, target, f"{source}/{printable(member.filename)}", zip_time(member), problem, level)


def directory_size(file: BinaryIO) -> int:
    """The bytes of a zip's list of members as its end says: `zipfile` would read it whole before anything else."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - 65_600))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    # in a large archive the true size stands in a record of 64 bits, a fixed way before
    wide = tail.rfind(b"PK\x06\x06", 0, at) if at >= 0 else -1
    file.seek(0)
    if at < 0 or at + 16 > len(tail):
        raise Refused("it is not a whole zip file: its end is missing")
    narrow = int.from_bytes(tail[at + 12 : at + 16], "little")
    return int.from_bytes(tail[wide + 40 : wide + 48], "little") if wide >= 0 and narrow == 0xFFFFFFFF else narrow


def zip_time(member: zipfile.ZipInfo) -> float | None:
    try:
        return believable(float(calendar.timegm((*member.date_time, 0, 0, 0))))
    except (ValueError, OverflowError):
        return None


def untar(file: BinaryIO, source: str, into: Path, total: int, level: int) -> Iterator[Found]:
    stream = Metered(decompressed(file))
    left = total
    seen = 0
    with tarfile.open(fileobj=stream, mode="r|", errorlevel=2) as archive:
        for index in range(MAX_MEMBERS + 1):
            member = archive.next()
            if member is None:
                return
            if index == MAX_MEMBERS:
                raise Refused(f"it has more than {MAX_MEMBERS:,} members")
            stream.allow(member.size)
            seen += member.size
            if seen > total:
                raise Refused(f"it unpacks to more than {total / 1e6:.0f} MB")
            parts, problem = safe_parts(member.name)
            if member.isdir() or passed_over(parts):
                continue
            if not member.isreg():
                problem = problem or "it is a link or a device, not a file"
            target = into / f"{index}"
            if not problem:
                content = archive.extractfile(member)
                size, problem = save(content, target, min(limit(parts[-1]), left), None)
                left -= size
            yield Found(parts, target, f"{source}/{printable(member.name)}", tar_time(member), problem, level)


def tar_time(member: tarfile.TarInfo) -> float | None:
    try:
        return believable(float(member.mtime))
    except (TypeError, ValueError, OverflowError):
        return None


def decompressed(file: BinaryIO) -> io.BufferedIOBase | io.RawIOBase | BinaryIO:
    """The stream unpacked, by what its first bytes say and not by its name."""
    magic = file.read(6)
    file.seek(0)
    if magic[:2] == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=file, mode="rb")
    if magic[:3] == b"BZh":
        return bz2.BZ2File(file, "rb")
    if magic == b"\xfd7zXZ\x00":
        return Xz(file)
    return file


class Xz(io.RawIOBase):
    """An xz stream that may not ask for more than ``XZ_MEMORY``, which Python's own file object would grant."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.unpacker = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=XZ_MEMORY)

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; none at the end."""
        while not self.unpacker.eof:
            packed = self.file.read(CHUNK // 8) if self.unpacker.needs_input else b""
            if self.unpacker.needs_input and not packed:
                raise EOFError("the compressed data end too early")
            if part := self.unpacker.decompress(packed, size):
                return part
        return b""


class Metered:
    """Hands on what a stream holds, up to what has been allowed: a tar's headers can claim to be of any length."""

    def __init__(self, stream: io.BufferedIOBase | io.RawIOBase | BinaryIO) -> None:
        self.stream, self.allowance = stream, MAX_TAR_HEADERS

    def allow(self, size: int) -> None:
        """Let one more member with this much content through."""
        self.allowance += max(0, size) + TAR_HEADER

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; raises Refused once more is asked for than was allowed."""
        part = self.stream.read(size)
        self.allowance -= len(part)
        if self.allowance < 0:
            raise Refused("its headers are larger than those of any honest archive")
        return part


def passed_over(parts: tuple[str, ...]) -> bool:
    """Whether a member is hidden or what a program left behind, and no work whose own name begins with a dot."""
    folders, name = parts[:-1], parts[-1]
    if HIDDEN_WORK.fullmatch(name):
        parts = folders
    return any(part.startswith(".") or part in SKIPPED for part in parts)


def save(stream: BinaryIO | io.BufferedIOBase, target: Path, most: int, packed: int | None) -> tuple[int, str]:
    """Write a stream of at most `most` bytes to a file; returns the bytes written and why it was given up, or ""."""
    size = 0
    with target.open("wb") as file:
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            if size > most or (packed is not None and size > max(SMALL, MAX_RATIO * packed) + CHUNK):
                file.truncate(0)
                return size, f"it unpacks to more than {min(most, size) / 1e6:.0f} MB"
            file.write(chunk)
    return size, ""


def limit(name: str) -> int:
    """The most bytes that a member may have."""
    return MAX_INNER if is_archive(name) else MAX_BYTES


def safe_parts(name: str) -> tuple[tuple[str, ...], str]:
    """A member's name in parts, and why it cannot be taken, or ""."""
    plain = name[:MAX_NAME].replace("\\", "/")
    parts = tuple(part for part in plain.split("/") if part not in ("", "."))
    outside = plain.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", name) or "\0" in name or not parts
    inside = tuple(printable(part, 100) for part in parts if part != "..") or ("unnamed",)
    if len(name) > MAX_NAME or any(len(part) > 255 for part in parts) or len(parts) > MAX_PARTS:
        return inside[-1:], "its name is too long"
    if outside:
        return inside, "its name points outside of the archive"
    return parts, HIDDEN if parts[-1].startswith(".") else ""
