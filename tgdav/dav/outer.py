"""What stands around WsgiDAV: requests that it must not see, errors that it must not tell."""

import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from wsgidav.mw.base_mw import BaseMiddleware

from tgdav.dav import statuses
from tgdav.dav.messages import Environ, Piece
from tgdav.dav.proxies import Proxies
from tgdav.dav.statuses import HttpError
from tgdav.errors import TgdavError

_log = logging.getLogger(__name__)

StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[Piece]]

READING = frozenset({"GET", "HEAD", "OPTIONS", "PROPFIND"})
"""Methods that change nothing, so that a foreign page may cause them: it cannot read on."""


class Outer:
    """The outermost application: PATH_INFO below it is text, and relative to the prefix."""

    def __init__(self, application: Application, prefix: str, proxies: Proxies) -> None:
        """`prefix`: the path ("/a/b" or "") below which a proxy passes requests on."""
        self._application = application
        self._prefix = prefix
        self._proxies = proxies

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[Piece]:
        try:
            self._proxies.see_through(environ)
            _require_own_page(environ)
            environ["PATH_INFO"] = self._path(environ)
        except HttpError as error:
            return _told(error, environ, start_response)
        return self._application(environ, start_response)

    def _path(self, environ: Environ) -> str:
        """`OPTIONS *` asks of the server what `OPTIONS /` asks of the drive."""
        asked = environ["PATH_INFO"]
        if asked == "*" and environ["REQUEST_METHOD"] == "OPTIONS":
            return "/"
        path = _text(asked)
        if not self._prefix:
            return path
        if path != self._prefix and not path.startswith(self._prefix + "/"):
            raise HttpError(404, "there is nothing here")
        return path[len(self._prefix) :] or "/"


class Errors(BaseMiddleware):  # type: ignore[misc]
    """In place of WsgiDAV's ErrorPrinter, which shows the client an exception's text."""

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[Piece]:
        try:
            answer: Iterable[Piece] = self.next_app(environ, start_response)
            return answer
        except Exception as error:
            if not isinstance(error, HttpError | TgdavError):
                _log.exception("%s: not foreseen", environ["REQUEST_METHOD"])
            return _told(statuses.answer(error), environ, start_response)


def _told(error: HttpError, environ: Environ, start_response: StartResponse) -> Iterable[Piece]:
    content_type, content = statuses.content(error, lambda _: "")
    length = ("Content-Length", str(len(content)))
    fields = [("Content-Type", content_type), length, *error.headers]
    start_response(f"{error.status} {HTTPStatus(error.status).phrase}", fields)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [content]


def _text(raw: str) -> str:
    """The path as text. WsgiDAV would end the connection without an answer instead."""
    try:
        path = raw.encode("latin-1").decode("utf-8")
    except UnicodeError as error:
        raise HttpError(400, "the URL is not UTF-8") from error
    if not path.startswith("/"):
        raise HttpError(400, "a URL without a path")
    if "/." in path and any(part in (".", "..") for part in path.split("/")):
        raise HttpError(400, "a URL with dots for names")
    return path


def _require_own_page(environ: Environ) -> None:
    """Refuse a change that another site's page asks a logged-in browser for."""
    if environ["REQUEST_METHOD"] in READING:
        return
    origin = environ.get("HTTP_ORIGIN")
    is_foreign = origin is not None and _authority(origin) != environ.get("HTTP_HOST", "").lower()
    if is_foreign or environ.get("HTTP_SEC_FETCH_SITE", "").lower() == "cross-site":
        raise HttpError(403, "another site's page may not change anything here")


def _authority(origin: str) -> str:
    return origin.lower().partition("://")[2]
