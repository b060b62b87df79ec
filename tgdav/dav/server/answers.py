"""Heads of answers, and the answers to requests that no application sees."""

import time
from collections.abc import Iterable
from http import HTTPStatus

from tgdav.dav.dates import SECOND, http_date
from tgdav.dav.server.framing import HeadRefused
from tgdav.dav.server.options import ServerOptions
from tgdav.dav.server.wire import ClientGone, Wire

Fields = list[tuple[str, str]]

SERVER = "tgdav"


def answer_head(status: str, fields: Fields, standing: Iterable[tuple[str, str]]) -> bytes:
    """Status line and fields, `standing` ones only where `fields` has none of the name.

    Raises `ValueError` for what would be another line, or no text that HTTP can carry.
    """
    names = {name.lower() for name, _ in fields}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields)]
    lines += [f"{name}: {value}" for name, value in standing if name.lower() not in names]
    lines += [f"Date: {http_date(int(time.time()) * SECOND)}", f"Server: {SERVER}", "", ""]
    text = "\r\n".join(lines)
    if not text.count("\n") == text.count("\r") == len(lines) - 1:
        raise ValueError("a line break in the head of an answer")
    return text.encode("latin-1")


def refusal(refused: HeadRefused, options: ServerOptions, *more: tuple[str, str]) -> bytes:
    """The answer to a request that nobody looks into; the connection ends with it."""
    content = f"{refused.message}\n".encode()
    fields = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(content))),
        ("Connection", "close"),
        *more,
    ]
    status = f"{refused.status} {HTTPStatus(refused.status).phrase}"
    return answer_head(status, fields, options.headers) + content


def refuse(wire: Wire, refused: HeadRefused, options: ServerOptions) -> None:
    """Send the refusal, if the client still takes it."""
    try:
        wire.send(refusal(refused, options), options.write_s)
    except ClientGone:
        return
