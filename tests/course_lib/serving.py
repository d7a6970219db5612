"""A web server on this machine that behaves as badly as a test wants."""

import contextlib
import dataclasses
import hashlib
import http.server
import threading
import time
from collections.abc import Iterator

from course_lib.data.cache import RemoteFile


@dataclasses.dataclass
class Page:
    """What the server gives for one address, and what it was asked."""

    content: bytes
    ranges: bool = True
    """whether a request for a part is answered with that part"""
    break_after: list[int] = dataclasses.field(default_factory=list)
    """bytes after which each of the first answers stops"""
    codes: list[int] = dataclasses.field(default_factory=list)
    """status codes that the first requests are refused with"""
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    tell_length: bool = True
    slowness: float = 0.0
    asked: list[str | None] = dataclasses.field(default_factory=list)
    """the Range header of each request"""


class Server:
    def __init__(self, address: str) -> None:
        self.address = address
        self.pages: dict[str, Page] = {}

    def put(self, path: str, content: bytes, **behaviour) -> Page:
        page = self.pages["/" + path] = Page(content, **behaviour)
        return page

    def file(self, path: str, content: bytes, *more: str, **fields) -> RemoteFile:
        """The record of a file that should have this content, at `path` on this server and at `more`."""
        urls = tuple(f"{self.address}/{p}" for p in (path, *more))
        known = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), **fields}
        return RemoteFile(path=f"set/{path}", urls=urls, **known)


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # a client that has seen enough hangs up
            with contextlib.suppress(ConnectionError):
                _answer(self, server.pages.get(self.path))

        def log_message(self, *args) -> None:
            """Tests read `Page.asked` instead."""

    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = Server(f"http://127.0.0.1:{listener.server_address[1]}")
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()


def _answer(handler: http.server.BaseHTTPRequestHandler, page: Page | None) -> None:
    if page is None:
        handler.send_error(404)
        return
    wanted = handler.headers.get("Range")
    page.asked.append(wanted)
    if page.codes:
        handler.send_error(page.codes.pop(0))
        return
    start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and page.ranges else 0
    if start and start >= len(page.content):
        handler.send_error(416)
        return
    body = page.content[start:]
    handler.send_response(206 if start else 200)
    headers = {"Content-Length": str(len(body))} if page.tell_length else {}
    if start:
        headers["Content-Range"] = f"bytes {start}-{len(page.content) - 1}/{len(page.content)}"
    for name, value in (headers | page.headers).items():
        handler.send_header(name, value)
    handler.end_headers()
    if page.break_after:
        body = body[: page.break_after.pop(0)]
    half = len(body) // 2
    handler.wfile.write(body[:half])
    handler.wfile.flush()
    time.sleep(page.slowness)
    handler.wfile.write(body[half:])
    handler.close_connection = True
