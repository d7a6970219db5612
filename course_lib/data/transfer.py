"""One transfer over HTTP into a partial file, continued from where an earlier one broke off."""

import http.client
import os
import re
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

Progress = Callable[[int, int | None], None]
"""Called with the bytes there so far and the bytes there will be, or None if the server does not say."""

_BLOCK = 1 << 18
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}


class TransferError(Exception):
    """A transfer that did not reach its end; `passing` says whether trying again may help."""

    def __init__(self, reason: str, passing: bool) -> None:
        super().__init__(reason)
        self.passing = passing


def receive(url: str, part: Path, progress: Progress, timeout: float = 30.0) -> int:
    """Fetch `url` into the file `part`, asking only for what is not in it yet; return the bytes it had before.

    `timeout` is how many seconds the server may be silent. What has arrived stays in `part` when the transfer
    breaks. A server that cannot continue makes it start anew, and then the result is 0. Raises TransferError
    for everything on the network's side and OSError if `part` cannot be written.
    """
    had = part.stat().st_size if part.exists() else 0
    try:
        response = urllib.request.urlopen(_request(url, had), timeout=timeout)
    except urllib.error.HTTPError as problem:
        with problem:
            if problem.code == 416 and had:
                return had  # nothing follows what is there: the checksum decides what it is
            reason = f"the server answered {problem.code} {problem.reason}"
            raise TransferError(reason, problem.code in _TRY_AGAIN) from problem
    except urllib.error.URLError as problem:
        raise TransferError(str(problem.reason), not _is_lasting(problem.reason)) from problem
    except (OSError, http.client.HTTPException) as problem:
        raise TransferError(_words(problem), True) from problem
    with response:
        had = had if _continues(response, had) else 0
        length = response.headers.get("Content-Length", "")
        total = had + int(length) if length.isdigit() else None
        with part.open("ab" if had else "wb") as out:
            done = _copy(response, out, had, total, progress)
            out.flush()
            os.fsync(out.fileno())
    if total is not None and done < total:
        raise TransferError(f"the connection ended after {done:,} of {total:,} bytes", True)
    return had


def _request(url: str, had: int) -> urllib.request.Request:
    # a server or proxy that packs the answer would make byte positions meaningless
    headers = {"User-Agent": "transformers-course", "Accept-Encoding": "identity"}
    if had:
        headers["Range"] = f"bytes={had}-"
    return urllib.request.Request(url, headers=headers)


def _continues(response: http.client.HTTPResponse, had: int) -> bool:
    if response.status != 206:
        return False
    start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if start is None or int(start[1]) != had:
        raise TransferError(f"the server was asked to go on from byte {had:,} and did not", False)
    return True


def _copy(response: http.client.HTTPResponse, out, done: int, total: int | None, progress: Progress) -> int:
    progress(done, total)
    while True:
        try:
            block = response.read1(_BLOCK)
        except (OSError, http.client.HTTPException) as problem:
            raise TransferError(f"{_words(problem)} after {done:,} bytes", True) from problem
        if not block:
            return done
        out.write(block)
        done += len(block)
        progress(done, total)


def _is_lasting(reason: object) -> bool:
    """No name, no listener or no trusted certificate will not be there a second later either."""
    return isinstance(reason, socket.gaierror | ConnectionRefusedError | ssl.SSLCertVerificationError)


def _words(problem: Exception) -> str:
    return str(problem) or type(problem).__name__
