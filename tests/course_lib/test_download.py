"""Downloads from a server that breaks off, lies and is slow: what is handed out is always the file meant."""

import gzip
import hashlib
import io
import os
import socket
import stat
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from serving import Server, serving

from course_lib.data import cache, download
from course_lib.data.cache import RemoteFile, cache_folder, damage
from course_lib.data.download import DownloadError, fetch
from course_lib.data.progress import TransferLine

# no power of two and longer than one block, so that blocks and file end at different places
CONTENT = bytes(i * i % 251 for i in range(300_007))


@pytest.fixture
def server():
    with serving() as running:
        yield running


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "_PAUSES", (0.0, 0.0, 0.0))
    return tmp_path / "cache"


def left_in(folder: Path) -> set[str]:
    return {p.name for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock"}


# what goes well


def test_a_file_is_fetched_once_and_kept(server: Server, folder):
    page = server.put("a.bin", CONTENT)
    file = server.file("a.bin", CONTENT)
    path = fetch(file)
    assert path == folder / "set" / "a.bin" and path.read_bytes() == CONTENT
    assert fetch(file) == path
    assert page.asked == [None]
    assert left_in(folder) == {"a.bin"}


def test_a_file_put_there_by_hand_needs_no_network(folder):
    nowhere = RemoteFile("set/a.bin", ("http://127.0.0.1:9/a.bin",), len(CONTENT), _sha(CONTENT))
    path = folder / "set" / "a.bin"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert fetch(nowhere) == path


def test_a_folder_that_is_read_only_can_be_read(folder):
    file = RemoteFile("set/a.bin", ("http://127.0.0.1:9/a.bin",), len(CONTENT), _sha(CONTENT))
    path = folder / "set" / "a.bin"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    path.parent.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert fetch(file) == path
        assert list(path.parent.iterdir()) == [path]
    finally:
        path.parent.chmod(stat.S_IRWXU)


def test_a_server_that_tells_no_length_will_do(server: Server):
    server.put("a.bin", CONTENT, tell_length=False)
    assert fetch(server.file("a.bin", CONTENT)).read_bytes() == CONTENT


def test_packed_files_are_known_by_what_is_in_them(server: Server):
    file = server.file("a.gz", CONTENT, gunzip=True)
    for level in (1, 9):
        server.put("a.gz", gzip.compress(CONTENT, level, mtime=level))
        path = fetch(file)
        assert gzip.decompress(path.read_bytes()) == CONTENT
        path.unlink()


# what breaks off


def test_a_broken_transfer_goes_on_where_it_stopped(server: Server, folder):
    page = server.put("a.bin", CONTENT, break_after=[100_000, 50_000])
    assert fetch(server.file("a.bin", CONTENT)).read_bytes() == CONTENT
    assert page.asked == [None, "bytes=100000-", "bytes=150000-"]
    assert left_in(folder) == {"a.bin"}


def test_a_later_run_goes_on_where_an_earlier_one_was_stopped(server: Server, folder):
    page = server.put("a.bin", CONTENT)
    (folder / "set").mkdir(parents=True)
    (folder / "set" / "a.bin.part").write_bytes(CONTENT[:123_456])
    assert fetch(server.file("a.bin", CONTENT)).read_bytes() == CONTENT
    assert page.asked == ["bytes=123456-"]


def test_a_transfer_that_was_whole_but_not_yet_renamed_is_used(server: Server, folder):
    page = server.put("a.bin", CONTENT)
    (folder / "set").mkdir(parents=True)
    (folder / "set" / "a.bin.part").write_bytes(CONTENT)
    assert fetch(server.file("a.bin", CONTENT)).read_bytes() == CONTENT
    assert page.asked == [f"bytes={len(CONTENT)}-"]


def test_a_server_that_cannot_go_on_starts_anew(server: Server):
    page = server.put("a.bin", CONTENT, ranges=False, break_after=[100_000])
    assert fetch(server.file("a.bin", CONTENT)).read_bytes() == CONTENT
    assert page.asked == [None, "bytes=100000-"]


def test_a_part_of_something_else_is_not_gone_on_with(server: Server, folder):
    page = server.put("a.bin", CONTENT)
    (folder / "set").mkdir(parents=True)
    (folder / "set" / "a.bin.part").write_bytes(b"x" * 1000)
    assert fetch(server.file("a.bin", CONTENT)).read_bytes() == CONTENT
    assert page.asked == ["bytes=1000-", None]


def test_a_part_longer_than_the_file_is_not_gone_on_with(server: Server, folder):
    page = server.put("a.bin", CONTENT)
    (folder / "set").mkdir(parents=True)
    (folder / "set" / "a.bin.part").write_bytes(CONTENT + b"x")
    assert fetch(server.file("a.bin", CONTENT)).read_bytes() == CONTENT
    assert page.asked == [f"bytes={len(CONTENT) + 1}-", None]


def test_a_server_that_goes_on_elsewhere_is_not_believed(server: Server, folder):
    server.put("a.bin", CONTENT, headers={"Content-Range": "bytes 7-9/10"})
    (folder / "set").mkdir(parents=True)
    (folder / "set" / "a.bin.part").write_bytes(CONTENT[:1000])
    with pytest.raises(DownloadError, match="asked to go on from byte 1,000"):
        fetch(server.file("a.bin", CONTENT))


def test_a_transfer_that_always_breaks_is_given_up_and_kept(server: Server, folder):
    page = server.put("a.bin", CONTENT, ranges=False, break_after=[40_000] * 100)
    with pytest.raises(DownloadError, match="ended after 40,000 of 300,007 bytes"):
        fetch(server.file("a.bin", CONTENT))
    assert len(page.asked) < 10
    assert left_in(folder) == {"a.bin.part"}


def test_a_server_that_is_busy_is_asked_again_and_one_that_refuses_is_not(server: Server):
    busy = server.put("a.bin", CONTENT, codes=[503, 429])
    assert fetch(server.file("a.bin", CONTENT)).read_bytes() == CONTENT
    assert len(busy.asked) == 3
    closed = server.put("b.bin", CONTENT, codes=[403] * 9)
    with pytest.raises(DownloadError, match="403"):
        fetch(server.file("b.bin", CONTENT))
    assert len(closed.asked) == 1


# what is wrong


def test_the_next_address_is_tried(server: Server):
    server.put("mirror/a.bin", CONTENT)
    assert fetch(server.file("a.bin", CONTENT, "mirror/a.bin")).read_bytes() == CONTENT
    server.put("b.bin", b"<html>Please log in to this network.</html>")
    server.put("mirror/b.bin", CONTENT)
    assert fetch(server.file("b.bin", CONTENT, "mirror/b.bin")).read_bytes() == CONTENT


def test_wrong_content_is_never_handed_out(server: Server, folder):
    changed = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    page = server.put("a.bin", changed)
    with pytest.raises(DownloadError, match="not the file expected: its SHA-256 is") as caught:
        fetch(server.file("a.bin", CONTENT))
    assert _sha(changed) in str(caught.value) and _sha(CONTENT) in str(caught.value)
    assert page.asked == [None]
    assert left_in(folder) == {"a.bin.part.damaged"}


@pytest.mark.parametrize("spoil", ["bit", "cut", "longer", "empty"])
def test_a_file_damaged_in_the_cache_is_moved_aside_and_fetched_again(server: Server, folder, spoil):
    server.put("a.bin", CONTENT)
    file = server.file("a.bin", CONTENT)
    path = fetch(file)
    spoiled = {
        "bit": CONTENT[:1000] + bytes([CONTENT[1000] ^ 4]) + CONTENT[1001:],
        "cut": CONTENT[:-1],
        "longer": CONTENT + b"\0",
        "empty": b"",
    }[spoil]
    path.write_bytes(spoiled)
    with pytest.warns(UserWarning, match="is damaged: it"):
        assert fetch(file).read_bytes() == CONTENT
    assert (path.parent / "a.bin.damaged").read_bytes() == spoiled
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fetch(file)


@pytest.mark.parametrize("spoil", ["cut", "bit", "not packed", "more"])
def test_a_damaged_packed_file_is_noticed(tmp_path, spoil):
    packed = gzip.compress(CONTENT)
    middle = len(packed) // 2
    spoiled = {
        "cut": packed[:-9],
        "bit": packed[:middle] + bytes([packed[middle] ^ 1]) + packed[middle + 1 :],
        "not packed": CONTENT,
        "more": gzip.compress(CONTENT + b"\0"),
    }[spoil]
    path = tmp_path / "a.gz"
    file = RemoteFile("a.gz", (), len(CONTENT), _sha(CONTENT), gunzip=True)
    path.write_bytes(packed)
    assert damage(path, file) is None
    path.write_bytes(spoiled)
    assert damage(path, file)


def test_a_file_that_unpacks_to_far_too_much_is_not_unpacked_whole(tmp_path, monkeypatch):
    read = []
    honest = gzip.GzipFile.read
    monkeypatch.setattr(gzip.GzipFile, "read", lambda self, n: (block := honest(self, n), read.append(len(block)))[0])
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(50_000_000)))
    problem = damage(tmp_path / "a.gz", RemoteFile("a.gz", (), 1000, "", gunzip=True))
    assert problem == "it has more than 1,000 bytes instead of 1,000"
    assert sum(read) == 1001


def test_without_a_network_the_message_says_what_to_do(folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/a.bin"
    file = RemoteFile("set/a.bin", (address,), len(CONTENT), _sha(CONTENT))
    with pytest.raises(DownloadError) as caught:
        fetch(file)
    message = str(caught.value)
    for needed in (address, str(folder / "set" / "a.bin"), "300,007 bytes", _sha(CONTENT), "COURSE_DATA"):
        assert needed in message
    assert "refused" in message and "unpacked" not in message


def test_a_name_that_nobody_knows_is_asked_for_once(monkeypatch):
    asked = []

    def unknown(*args, **kwargs):
        asked.append(args)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(DownloadError, match="Name or service not known"):
        fetch(RemoteFile("a", ("https://data.invalid/a",), 1, ""))
    assert len(asked) == 1


def test_a_silent_server_is_not_waited_for_forever(monkeypatch, folder):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        patient = download.receive
        monkeypatch.setattr(download, "receive", lambda *a: patient(*a, timeout=0.05))
        with pytest.raises(DownloadError, match="timed out"):
            fetch(RemoteFile("a", (f"http://127.0.0.1:{silent.getsockname()[1]}/a",), 1, ""))


def test_a_cache_that_cannot_be_used_is_said_to_be_so(monkeypatch, tmp_path):
    (tmp_path / "in the way").write_text("a file")
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "in the way"))
    with pytest.raises(DownloadError, match="The cache cannot be used"):
        fetch(RemoteFile("a/b", ("http://127.0.0.1:9/a",), 1, ""))


# several at once, and progress


def test_two_processes_fetch_a_file_once(server: Server, folder):
    page = server.put("a.bin", CONTENT, slowness=1.0)
    file = server.file("a.bin", CONTENT)
    code = f"from course_lib.data.cache import RemoteFile; from course_lib.data.download import fetch\n" \
           f"import hashlib; print(hashlib.sha256(fetch({file!r}).read_bytes()).hexdigest())"  # fmt: skip
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [p.communicate(timeout=60)[0].strip() for p in both] == [_sha(CONTENT)] * 2
    assert page.asked == [None]


def test_a_lock_left_by_a_process_that_died_holds_nobody_up(server: Server, folder):
    server.put("a.bin", CONTENT)
    (folder / "set").mkdir(parents=True)
    (folder / "set" / "a.bin.lock").touch()
    assert fetch(server.file("a.bin", CONTENT)).read_bytes() == CONTENT


def test_progress_counts_from_what_was_there(server: Server, folder):
    server.put("a.bin", CONTENT)
    (folder / "set").mkdir(parents=True)
    (folder / "set" / "a.bin.part").write_bytes(CONTENT[:100_000])
    seen = []
    fetch(server.file("a.bin", CONTENT), lambda done, total: seen.append((done, total)))
    assert seen[0] == (100_000, 300_007) and seen[-1] == (300_007, 300_007)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize("terminal", [True, False])
def test_only_a_terminal_is_written_to(server: Server, monkeypatch, capsys, terminal):
    out = io.StringIO()
    out.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stderr", out)
    server.put("a.bin", CONTENT)
    fetch(server.file("a.bin", CONTENT))
    assert ("a.bin: 100 % of 0.3 MB" in out.getvalue()) == terminal
    assert bool(out.getvalue()) == terminal
    assert capsys.readouterr().out == ""


def test_the_line_says_rate_and_time_left_without_what_was_there_before(monkeypatch):
    now = iter([0.0, 10.0, 12.0, 12.1, 14.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    out = io.StringIO()
    line = TransferLine("a.bin", out)
    line(50_000_000, 100_000_000)
    line(60_000_000, 100_000_000)
    line(61_000_000, 100_000_000)
    line(100_000_000, 100_000_000)
    line.close()
    shown = [part.rstrip() for part in out.getvalue().split("\r")[1:]]
    assert shown == [
        "a.bin:  50 % of 100.0 MB",
        "a.bin:  60 % of 100.0 MB, 5.0 MB/s, about 8 s left",
        "a.bin: 100 % of 100.0 MB, 12.5 MB/s, about 0 s left",
    ]
    assert out.getvalue().endswith("\n")


# the folder


def test_the_folder_is_course_data_or_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_DATA", "~/somewhere")
    assert cache_folder() == Path.home() / "somewhere"
    monkeypatch.delenv("COURSE_DATA")
    monkeypatch.setattr(cache.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "transformers-course"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "transformers-course"
    monkeypatch.setattr(cache.sys, "platform", "darwin")
    assert cache_folder() == Path.home() / "Library" / "Caches" / "transformers-course"
    monkeypatch.setattr(cache.sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_folder() == tmp_path / "local" / "transformers-course"


def test_course_data_may_be_relative(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURSE_DATA", "data")
    assert cache_folder() == Path(os.getcwd()) / "data"


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
