"""Messages from a process that is not trusted: whatever it sends costs at most an error; and what it may use."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.sandbox import outputs
from autograder.sandbox.channel import (
    MAGIC,
    MAX_BLOBS,
    PREFIX,
    Channel,
    ChannelError,
    Closed,
    Late,
    Malformed,
    TooLarge,
)
from autograder.sandbox.limits import Limits
from autograder.sandbox.outputs import Outputs, Stream

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(), lambda inner: st.lists(inner), max_leaves=5
)


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    yield Channel(ours, most=1 << 20), theirs
    ours.close()
    theirs.close()


def received(data: bytes, most: int = 1 << 20, seconds: float = 5.0):
    """What a channel makes of these bytes, after which the other side hangs up."""
    ours, theirs = socket.socketpair()
    try:
        sender = threading.Thread(target=lambda: (_send(theirs, data), theirs.close()))
        sender.start()
        return Channel(ours, most).receive(time.monotonic() + seconds)
    finally:
        ours.close()
        sender.join()


def _send(sock: socket.socket, data: bytes) -> None:
    try:
        sock.sendall(data)
    except OSError:
        return  # the other side has had enough


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(), JSON), st.lists(st.binary(max_size=5000), max_size=5))
def test_what_is_sent_arrives(head, blobs) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = threading.Thread(target=Channel(theirs).send, args=(head, blobs))
        sender.start()
        assert Channel(ours).receive(time.monotonic() + 10) == (head, blobs)
        sender.join()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_garbage_is_never_more_than_an_error(data) -> None:
    with pytest.raises(ChannelError):
        received(data)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.binary(max_size=300))
def test_garbage_that_begins_well_is_an_error_or_a_message_within_the_limit(length, count, rest) -> None:
    try:
        head, blobs = received(PREFIX.pack(MAGIC, length, count) + rest)
    except ChannelError:
        return
    assert isinstance(head, dict) and len(blobs) == count and sum(map(len, blobs)) <= 1 << 20


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=100), st.data())
def test_a_message_with_one_byte_changed_is_an_error_or_a_message(blob, data) -> None:
    text = json.dumps({"a": 1}).encode()
    message = bytearray(PREFIX.pack(MAGIC, len(text), 1) + struct.pack("<I", len(blob)) + text + blob)
    message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    try:
        head, blobs = received(bytes(message))
    except ChannelError:
        return
    assert isinstance(head, dict) and len(blobs) <= 1


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", Closed),
        (b"AGC", Closed),
        (b"HTTP/1.1 200 OK\r\n\r\n", Malformed),
        (PREFIX.pack(MAGIC, (1 << 20) + 1, 0), TooLarge),
        (PREFIX.pack(MAGIC, 2, MAX_BLOBS + 1), TooLarge),
        (PREFIX.pack(MAGIC, 2, 2) + struct.pack("<2I", 2**32 - 1, 2**32 - 1), TooLarge),
        (PREFIX.pack(MAGIC, 2, 1) + struct.pack("<I", 1 << 20), TooLarge),
        (PREFIX.pack(MAGIC, 2, 0) + b"{", Closed),
        (PREFIX.pack(MAGIC, 2, 0) + b"[]", Malformed),
        (PREFIX.pack(MAGIC, 2, 0) + b"{x", Malformed),
        (PREFIX.pack(MAGIC, 2, 0) + b"\xff\xfe", Malformed),
        (PREFIX.pack(MAGIC, 400_000, 0) + b"[" * 400_000, Malformed),
        (PREFIX.pack(MAGIC, 400_010, 0) + b'{"a":' + b"9" * 400_004 + b"}", Malformed),
    ],
)
def test_each_way_of_being_wrong_has_its_error(data: bytes, error: type[ChannelError]) -> None:
    with pytest.raises(error):
        received(data)


def test_a_text_of_lone_surrogates_goes_through(pair) -> None:
    ours, theirs = pair
    Channel(theirs).send({"text": "\ud800"})
    assert ours.receive(time.monotonic() + 5)[0] == {"text": "\ud800"}


def test_one_that_says_nothing_or_dribbles_is_late_and_looked_at_meanwhile(pair) -> None:
    ours, theirs = pair
    looks = []
    with pytest.raises(Late):
        ours.receive(time.monotonic() + 1.2, lambda: looks.append(1))
    assert 2 <= len(looks) <= 3
    stop = threading.Event()

    def dribble() -> None:
        message = PREFIX.pack(MAGIC, 1000, 0) + b" " * 1000
        for i in range(len(message)):
            if stop.wait(0.05):
                return
            theirs.send(message[i : i + 1])

    thread = threading.Thread(target=dribble)
    thread.start()
    began = time.monotonic()
    with pytest.raises(Late):
        ours.receive(began + 1)
    assert time.monotonic() - began < 3
    stop.set()
    thread.join()


def test_what_looks_may_put_an_end_to_it(pair) -> None:
    def look() -> None:
        raise Late("enough")

    with pytest.raises(Late, match="enough"):
        pair[0].receive(None, look)


def test_one_that_does_not_read_is_late(pair) -> None:
    with pytest.raises(Late):
        pair[0].send({}, [bytes(1 << 24)], 0.3)


def test_one_that_has_gone_is_closed(pair) -> None:
    ours, theirs = pair
    theirs.close()
    with pytest.raises(Closed):
        for _ in range(10):
            ours.send({}, [bytes(1 << 20)], 5)


def test_printed_text_is_cut_at_the_limit_and_the_rest_counted() -> None:
    kept = Outputs(10)
    for text in ("12345", "67890", "12345"):
        kept.stream("stdout", text)
    kept.stream("stderr", "x")
    assert kept.finished() == [
        {"output_type": "stream", "name": "stdout", "text": "1234567890"}, {"output_type": "notice", "dropped": 6},
    ]  # fmt: skip


def test_displayed_objects_are_cut_counted_and_kept_in_harmless_forms_only() -> None:
    kept = Outputs(5)
    kept.show("display_data", {"text/plain": "1234567", "text/html": "<script>", "image/png": "ok", "image/jpeg": b"x"})
    kept.show("display_data", {"text/plain": "", "image/png": "x" * (outputs.MAX_IMAGE + 1)})
    first, second, notice = kept.finished()
    assert first["data"] == {"text/html": "", "image/jpeg": "", "image/png": "ok", "text/plain": "12345"}
    assert second["data"]["image/png"] == "" and notice["dropped"] == 2


def test_outputs_have_a_greatest_number_and_an_error_always_fits() -> None:
    kept = Outputs(1000)
    for _ in range(3 * outputs.MAX_ITEMS):
        kept.show("display_data", {"text/plain": ""})
    kept.stream("stdout", "x" * 2000)
    kept.error("E" * 1000, "v" * 5000, ["t" * 500] * 3 * outputs.MAX_FRAMES)
    done = kept.finished()
    assert len(done) == outputs.MAX_ITEMS + 1 and done[-1]["dropped"] > 0
    (error,) = (item for item in done if item["output_type"] == "error")
    assert (len(error["ename"]), len(error["evalue"])) == (200, 2000) and len(error["traceback"]) <= outputs.MAX_FRAMES


def test_a_flood_costs_no_more_memory_than_the_limit() -> None:
    kept = Outputs(1000)
    stream = Stream("stdout")
    stream.outputs = kept
    for _ in range(1000):
        stream.write("x" * 10_000)
    assert len(json.dumps(kept.finished())) < 1200
    with pytest.raises(TypeError):
        stream.write(b"bytes")


def test_limits_are_read_from_a_configuration_or_refused_with_a_sentence() -> None:
    limits = Limits.of({"memory_mb": 512, "cell_seconds": 2.5})
    assert (limits.memory_mb, limits.cell_seconds, limits.files) == (512, 2.5, Limits().files)
    assert Limits.of(limits.as_dict()) == limits
    for options, words in (
        ({"memory": 5}, "no limit is called 'memory'; there are: cell_seconds"),
        ({"memory_mb": 0}, "the limit memory_mb must be a number above 0, not 0"),
        ({"memory_mb": True}, "not True"),
        ({"files": "many"}, "not 'many'"),
        ({"cell_seconds": float("nan")}, "not nan"),
        ({"cell_seconds": float("inf")}, "not inf"),
        ({"processes": 0.5}, "processes"),
    ):
        with pytest.raises(ValueError, match=words):
            Limits.of(options)
