"""Archives: what a platform's download, or a student, packs; and what one can pack to do harm."""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable

from tests.attacks.attack import Attack, File, Handed, Required, either, person, safe
from tests.attacks.kit import Kit
from tests.attacks.making import Make

ARCHIVE = ("archive", "zip", "unpack", "tar")
Pack = Callable[[zipfile.ZipFile, str, Kit], None]


def packed(name: str, pack: Pack, compression: int = zipfile.ZIP_DEFLATED) -> Make:
    """A zip file named after the student, filled by `pack`, which gets a right notebook's text."""

    def make(kit: Kit) -> Handed:
        out = io.BytesIO()
        with warnings.catch_warnings(), zipfile.ZipFile(out, "w", compression) as archive:
            warnings.simplefilter("ignore")  # names that occur twice are meant to
            pack(archive, kit.text(), kit)
        return [File(f"{name}.zip", out.getvalue())]

    return make


def tarred(name: str, fill: Callable[[tarfile.TarFile, Kit], None]) -> Make:
    def make(kit: Kit) -> Handed:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as archive:
            fill(archive, kit)
        return [File(f"{name}.tar.gz", out.getvalue())]

    return make


def members(*paths: str, also: bool = False) -> Pack:
    """The notebook under these paths; with `also`, under its right name too."""

    def pack(archive: zipfile.ZipFile, text: str, kit: Kit) -> None:
        for path in [*paths, *(["attention.ipynb"] if also else [])]:
            archive.writestr(zipfile.ZipInfo(kit.fill(path)), text)

    return pack


def zip_link(target: str, path: str = "attention.ipynb") -> Pack:
    def pack(archive: zipfile.ZipFile, text: str, kit: Kit) -> None:
        info = zipfile.ZipInfo(path)
        info.create_system, info.external_attr = 3, 0o120777 << 16
        archive.writestr(info, kit.fill(target))

    return pack


def through_link(archive: zipfile.ZipFile, text: str, kit: Kit) -> None:
    zip_link("@HOME@", "folder")(archive, text, kit)
    archive.writestr("folder/pwned.ipynb", text)


def bomb(archive: zipfile.ZipFile, text: str, kit: Kit) -> None:
    archive.writestr("attention.ipynb", bytes(300_000_000))


def many(archive: zipfile.ZipFile, text: str, kit: Kit) -> None:
    archive.writestr("attention.ipynb", text)
    for index in range(30_000):
        archive.writestr(f"{index}/x", b"")


def nested(archive: zipfile.ZipFile, text: str, kit: Kit) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as second:
        second.writestr("attention.ipynb", text)
    archive.writestr("inner.zip", inner.getvalue())


def beside(archive: zipfile.ZipFile, text: str, kit: Kit) -> None:
    archive.writestr("attention.ipynb", text)
    archive.writestr("__MACOSX/._attention.ipynb", b"\x00\x05\x16\x07")
    archive.writestr(".DS_Store", b"x")


def encrypted(name: str) -> Make:
    """Bit 0 of the flags says that the member is encrypted: nobody has the password."""

    def make(kit: Kit) -> Handed:
        (plain,) = packed(name, members("attention.ipynb"))(kit)
        data = bytearray(plain.content)
        data[6] |= 1
        data[data.rindex(b"PK\x01\x02") + 8] |= 1
        return [File(plain.path, bytes(data))]

    return make


def damaged(name: str, change: Callable[[bytearray], bytes | bytearray]) -> Make:
    def make(kit: Kit) -> Handed:
        (plain,) = packed(name, members("attention.ipynb"))(kit)
        return [File(plain.path, bytes(change(bytearray(plain.content))))]

    return make


def wrong_sum(data: bytearray) -> bytearray:
    data[100] ^= 0xFF
    return data


def small_claim(data: bytearray) -> bytearray:
    """The directory says that the member has ten bytes once unpacked."""
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 10)
    data[22:26] = struct.pack("<I", 10)
    return data


def overlapping(data: bytearray) -> bytes:
    """The directory lists the one member 2000 times."""
    at, end = data.rindex(b"PK\x01\x02"), data.rindex(b"PK\x05\x06")
    entries = bytes(data[at:end]) * 2000
    tail = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 2000, 2000, len(entries), at, 0)
    return bytes(data[:at]) + entries + tail


def member(archive: tarfile.TarFile, name: str, content: bytes = b"", **fields: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    archive.addfile(info, io.BytesIO(content))


def tar_of(name: str = "attention.ipynb", **fields: object) -> Callable[[tarfile.TarFile, Kit], None]:
    def fill(archive: tarfile.TarFile, kit: Kit) -> None:
        filled = {key: kit.fill(value) if isinstance(value, str) else value for key, value in fields.items()}
        special = filled.get("type") not in (None, tarfile.REGTYPE)
        member(archive, kit.fill(name), b"" if special else kit.text().encode(), **filled)

    return fill


def xz_bomb(kit: Kit) -> Handed:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member(archive, "attention.ipynb", bytes(200_000_000))
    return [File("xz-bomb.tar.xz", lzma.compress(out.getvalue(), preset=0))]


def quiet(*words: str) -> Required:
    """Graded without what does harm, or set aside for a reason."""
    return either(*ARCHIVE, *words)


REFUSED = person(*ARCHIVE, "link", "path", "name", "MB", "device", "large", "notebook")

ATTACKS = [
    Attack("zip-of-one", "a zip with the notebook in it", packed("zip-of-one", members("attention.ipynb")), safe()),
    Attack(
        "zip-of-a-folder",
        "a zip with the notebook in a folder",
        packed("zip-of-a-folder", members("attention/attention.ipynb")),
        safe(),
    ),
    Attack("zip-from-a-mac", "a zip with a Mac's own files beside it", packed("zip-from-a-mac", beside), safe()),
    Attack("tar-of-one", "a tar.gz with the notebook in it", tarred("tar-of-one", tar_of()), either(*ARCHIVE)),
    Attack(
        "zip-slip",
        "members outside: ../../pwned.ipynb",
        packed("zip-slip", members("../../../../pwned.ipynb", also=True)),
        quiet("path", "name"),
    ),
    Attack(
        "zip-absolute",
        "a member with an absolute path",
        packed("zip-absolute", members("@HOME@/pwned.ipynb", also=True)),
        quiet("path", "name"),
    ),
    Attack(
        "zip-backslash",
        "members outside, as Windows writes it",
        packed("zip-backslash", members("..\\..\\..\\pwned.ipynb", also=True)),
        quiet("path", "name"),
    ),
    Attack(
        "zip-drive",
        "a member on another drive",
        packed("zip-drive", members("C:\\pwned.ipynb", also=True)),
        quiet("path", "name"),
    ),
    Attack("zip-nul", "a name with a NUL in it", packed("zip-nul", members("attention.ipynb\0.png")), quiet("name")),
    Attack(
        "zip-dot", "members named . and ..", packed("zip-dot", members(".", "..", also=True)), quiet("path", "name")
    ),
    Attack(
        "zip-long-name", "a name of 300 letters", packed("zip-long-name", members("n" * 300 + ".ipynb")), quiet("name")
    ),
    Attack(
        "zip-deep",
        "a member 400 folders deep",
        packed("zip-deep", members("a/" * 400 + "attention.ipynb")),
        quiet("path", "name", "deep"),
    ),
    Attack(
        "zip-link",
        "a link to a secret in place of the notebook",
        packed("zip-link", zip_link("@SECRET_FILE@")),
        REFUSED,
    ),
    Attack(
        "zip-through-link",
        "a link to a folder, and a file through it",
        packed("zip-through-link", through_link),
        quiet("link"),
    ),
    Attack(
        "zip-twice",
        "two members of the same name",
        packed("zip-twice", members("attention.ipynb", "attention.ipynb")),
        quiet("twice", "two"),
    ),
    Attack(
        "zip-two-notebooks",
        "two different notebooks",
        packed("zip-two-notebooks", members("draft.ipynb", "old/attention.ipynb")),
        quiet("two", "notebooks"),
    ),
    Attack(
        "zip-case",
        "names that differ by their case",
        packed("zip-case", members("Attention.ipynb", also=True)),
        quiet("two", "notebooks"),
    ),
    Attack("zip-bomb", "300 MB of zeros in 300 KB", packed("zip-bomb", bomb), REFUSED),
    Attack("zip-many", "30,000 members", packed("zip-many", many), quiet("files", "members", "many")),
    Attack("zip-in-zip", "a zip within a zip", packed("zip-in-zip", nested), quiet("notebook")),
    Attack(
        "zip-encrypted",
        "encrypted with a password",
        encrypted("zip-encrypted"),
        person(*ARCHIVE, "password", "encrypted"),
    ),
    Attack(
        "zip-truncated",
        "the upload broke off",
        damaged("zip-truncated", lambda data: data[: len(data) // 2]),
        person(*ARCHIVE),
    ),
    Attack("zip-wrong-sum", "a byte was damaged", damaged("zip-wrong-sum", wrong_sum), person(*ARCHIVE, "damaged")),
    Attack(
        "zip-small-claim",
        "it claims to be smaller than it is",
        damaged("zip-small-claim", small_claim),
        quiet("damaged", "JSON", "notebook"),
    ),
    Attack(
        "zip-overlapping",
        "one member, listed 2000 times",
        damaged("zip-overlapping", overlapping),
        quiet("files", "many", "two", "twice"),
    ),
    Attack("zip-empty", "an archive with nothing in it", packed("zip-empty", lambda archive, text, kit: None), REFUSED),
    Attack(
        "zip-not-one",
        "a text with the ending of a zip",
        lambda kit: [File("zip-not-one.zip", "PK, honestly\n")],
        person(*ARCHIVE),
    ),
    Attack("tar-slip", "a member outside: ../../pwned", tarred("tar-slip", tar_of("../../../pwned.ipynb")), REFUSED),
    Attack(
        "tar-absolute", "a member with an absolute path", tarred("tar-absolute", tar_of("@HOME@/pwned.ipynb")), REFUSED
    ),
    Attack(
        "tar-link",
        "a link to a secret",
        tarred("tar-link", tar_of(type=tarfile.SYMTYPE, linkname="@SECRET_FILE@")),
        REFUSED,
    ),
    Attack(
        "tar-hard-link",
        "a hard link to a secret",
        tarred("tar-hard-link", tar_of(type=tarfile.LNKTYPE, linkname="@SECRET_FILE@")),
        REFUSED,
    ),
    Attack(
        "tar-device",
        "a device of endless zeros",
        tarred("tar-device", tar_of(type=tarfile.CHRTYPE, devmajor=1, devminor=5)),
        REFUSED,
    ),
    Attack("tar-pipe", "a named pipe", tarred("tar-pipe", tar_of(type=tarfile.FIFOTYPE)), REFUSED),
    Attack(
        "tar-owner",
        "owned by root, with the set-uid bit",
        tarred("tar-owner", tar_of(mode=0o6777, uid=0, gid=0)),
        either(*ARCHIVE),
    ),
    Attack("xz-bomb", "200 MB of zeros in 30 KB", xz_bomb, REFUSED),
    Attack(
        "gzip-of-one",
        "the notebook itself, compressed",
        lambda kit: [File("gzip-of-one.ipynb.gz", gzip.compress(kit.text().encode()))],
        either(*ARCHIVE, "notebook"),
        student="gzip-of-one.ipynb",
    ),
    Attack(
        "rar-of-one",
        "an archive of a kind that nobody unpacks",
        lambda kit: [File("rar-of-one.rar", b"Rar!\x1a\x07\x01\x00")],
        person(*ARCHIVE, "notebook"),
    ),
]
