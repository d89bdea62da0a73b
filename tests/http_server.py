"""A web server on this machine with the faults that real ones have."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class File:
    """What the server does with one path.

    Attributes:
        content: the file.
        etag: None for none; so `modified`, the Last-Modified header.
        ranges: whether range requests are answered with a part.
        checks_if_range: whether a range of a file that changed is refused, as it should be.
        status: of every answer, if not 200 or 206.
        cuts: numbers of bytes after which the connection breaks, one for each answer in turn.
        kind: the Content-Type header.
        location: where to redirect to.
        tells_length: whether there is a Content-Length header.
        delay_s: before each answer.
        headers: further ones.
    """

    content: bytes
    etag: str | None = '"1"'
    modified: str | None = None
    ranges: bool = True
    checks_if_range: bool = True
    status: int | None = None
    cuts: list[int] = field(default_factory=list)
    kind: str = "application/octet-stream"
    location: str | None = None
    tells_length: bool = True
    delay_s: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Request:
    """What was asked for and how many bytes of the file were sent."""

    path: str
    range: str | None
    if_range: str | None
    sent: int = 0


class Server:
    """Files by path, and the requests that came."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.files: dict[str, File] = {}
        self.requests: list[Request] = []

    def put(self, path: str, file: File) -> str:
        """Serves a file and returns its address."""
        self.files[path] = file
        return self.url(path)

    def url(self, path: str) -> str:
        return f"http://localhost:{self.port}/{path}"

    @property
    def sent(self) -> list[int]:
        """Bytes of the file sent with each answer."""
        return [request.sent for request in self.requests]


@contextmanager
def serve() -> Iterator[Server]:
    """A server for as long as the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(server, self)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("localhost", 0), Handler) as http:
        server = Server(http.server_address[1])
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


def answer(server: Server, handler: BaseHTTPRequestHandler) -> None:
    """Answers one request; HTTP/1.0, so the connection ends with it."""
    path = handler.path.lstrip("/")
    request = Request(path, handler.headers["Range"], handler.headers["If-Range"])
    server.requests.append(request)
    file = server.files.get(path)
    if file is None:
        handler.send_error(404)
        return
    time.sleep(file.delay_s)
    start, status = 0, 200
    unchanged = request.if_range in (None, file.etag, file.modified) or not file.checks_if_range
    if request.range and file.ranges and unchanged:
        start, status = int(request.range.removeprefix("bytes=").removesuffix("-")), 206
    body = file.content[start:]
    if file.location:
        status, body = 302, b""
    elif status == 206 and not body:
        status = 416
    handler.send_response(file.status or status)
    headers = {"Content-Type": file.kind, "ETag": file.etag, "Last-Modified": file.modified, "Location": file.location}
    if status == 206:
        headers["Content-Range"] = f"bytes {start}-{len(file.content) - 1}/{len(file.content)}"
    if status == 416:
        headers["Content-Range"] = f"bytes */{len(file.content)}"
    if file.tells_length:
        headers["Content-Length"] = str(len(body))
    for name, value in {**headers, **file.headers}.items():
        if value is not None:
            handler.send_header(name, value)
    handler.end_headers()
    if file.cuts and body:
        body = body[: file.cuts.pop(0)]
    request.sent = len(body)
    with suppress(ConnectionError):  # the other side went away
        handler.wfile.write(body)
