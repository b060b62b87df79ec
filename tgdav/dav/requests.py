"""From WSGI to a verb and back: who asks, for which node, and how it is answered.

The one place that knows environ and start_response. Every error becomes an answer
here, and is logged here; nothing that a verb raises goes further up.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from tgdav.dav import (
    copymove,
    delete,
    get,
    if_header,
    locks,
    lookup,
    mkcol,
    options,
    patch,
    propfind,
    proppatch,
    put,
    statuses,
)
from tgdav.dav.messages import USER, Body, DavOptions, Environ, Headers, Piece, Reply, Request
from tgdav.dav.statuses import HttpError
from tgdav.dav.underway import Underway
from tgdav.errors import Failed, Forbidden, TgdavError
from tgdav.tree.paths import Path, parse
from tgdav.tree.permit import Permit
from tgdav.tree.tree import Tree
from tgdav.tree.users import User

_log = logging.getLogger(__name__)

StartResponse = Callable[..., Any]
Handler = Callable[[Request], Reply]


@dataclass(frozen=True, slots=True)
class Verb:
    handle: Handler
    changes: bool
    """Refused to users who may only read."""


VERBS = {
    "OPTIONS": Verb(options.handle, changes=False),
    "GET": Verb(get.handle, changes=False),
    "HEAD": Verb(get.handle, changes=False),
    "PUT": Verb(put.handle, changes=True),
    "PATCH": Verb(patch.handle, changes=True),
    "PROPFIND": Verb(propfind.handle, changes=False),
    "PROPPATCH": Verb(proppatch.handle, changes=True),
    "MKCOL": Verb(mkcol.handle, changes=True),
    "DELETE": Verb(delete.handle, changes=True),
    "COPY": Verb(copymove.handle, changes=True),
    "MOVE": Verb(copymove.handle, changes=True),
    "LOCK": Verb(locks.handle, changes=True),
    "UNLOCK": Verb(locks.handle, changes=True),
}

WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)

UNSUPPORTED = frozenset({"POST", "TRACE", "CONNECT", "REPORT", "SEARCH", "ACL", "BIND"})
"""Methods that we know and do not offer: 405. Any other is 501 (RFC 9110, 9.1)."""


class Requests:
    """The innermost WSGI application: one user's request on one tree. Thread-safe.

    `environ` comes with PATH_INFO as text below the prefix, and with the user.
    """

    def __init__(self, tree: Tree, options: DavOptions) -> None:
        self._tree = tree
        self._options = options
        self._underway = Underway()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[Piece]:
        # WsgiDAV reads bodies that nobody read, and would take this one from the verb.
        environ["wsgidav.some_input_read"] = 1
        try:
            request = self._request(environ)
        except Exception as error:
            reply = _failure(error, environ, lambda _: quote(self._options.prefix) + "/")
        else:
            reply = _carry_out(request)
            if request.body.is_read:
                environ["wsgidav.all_input_read"] = 1
        return _send(reply, environ["REQUEST_METHOD"], start_response)

    def _request(self, environ: Environ) -> Request:
        headers = Headers(environ)
        user: User = environ[USER]
        condition = _condition(headers)
        tokens = condition.tokens if condition else _office_token(environ, headers)
        url = environ["PATH_INFO"]
        return Request(
            tree=self._tree,
            options=self._options,
            underway=self._underway,
            user=user,
            permit=Permit(user.name, tokens),
            method=environ["REQUEST_METHOD"],
            path=user.root + parse(url.rstrip("/") or "/"),
            is_collection_url=url.endswith("/"),
            base=quote(self._options.prefix),
            headers=headers,
            condition=condition,
            body=Body(environ["wsgi.input"], _body_length(headers)),
            environ=environ,
        )


def _body_length(headers: Headers) -> int | None:
    """Announced bytes, None for a body in chunks; neither header means no body."""
    if "Transfer-Encoding" in headers:
        return None
    text = headers.get("Content-Length", "0")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise HttpError(400, "a Content-Length that is no length")
    return int(text)


def _condition(headers: Headers) -> if_header.IfHeader | None:
    if "If" not in headers:
        return None
    try:
        return if_header.parse(headers["If"])
    except if_header.IfMalformed as error:
        raise HttpError(400, "an If header that cannot be read") from error


def _office_token(environ: Environ, headers: Headers) -> frozenset[str]:
    """Office 2016 saves with `Lock-Token` where `If` belongs (sabre-io/dav#980)."""
    if environ["REQUEST_METHOD"] != "PUT" or "Microsoft Office" not in headers.get(
        "User-Agent", ""
    ):
        return frozenset()
    token = headers.get("Lock-Token", "").strip()
    return frozenset({token[1:-1]} if token.startswith("<") and token.endswith(">") else ())


def _carry_out(request: Request) -> Reply:
    try:
        verb = VERBS.get(request.method)
        if verb is None:
            raise _unsupported(request.method)
        if verb.changes and request.user.read_only:
            raise Forbidden("this user may only read")
        if verb.changes and lookup.is_trash(request):
            raise Forbidden("the trash can only be looked into")
        return verb.handle(request)
    except Exception as error:
        return _failure(error, request.environ, request.href)


def _unsupported(method: str) -> HttpError:
    if method in UNSUPPORTED:
        return HttpError(405, "this method is not offered")
    return HttpError(501, "this method is not known")


def _failure(error: Exception, environ: Environ, href: Callable[[Path], str]) -> Reply:
    _tell_log(error, environ["REQUEST_METHOD"])
    answer = statuses.answer(error)
    content_type, content = statuses.content(answer, href)
    headers = [("Content-Type", content_type), *answer.headers]
    if answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers.append(("Allow", options.ALLOW))
    return Reply(answer.status, headers, [content])


def _tell_log(error: Exception, method: str) -> None:
    if isinstance(error, Failed):
        _log.error("%s: %s: %s", method, type(error).__name__, error)
    elif not isinstance(error, TgdavError | HttpError):
        _log.exception("%s: not foreseen", method)


def _send(reply: Reply, method: str, start_response: StartResponse) -> Iterable[Piece]:
    status = HTTPStatus(reply.status)
    has_length = any(name == "Content-Length" for name, _ in reply.headers)
    if not has_length and reply.length is not None and status not in WITHOUT_BODY:
        reply.headers.append(("Content-Length", str(reply.length)))
    try:
        start_response(f"{status.value} {status.phrase}", reply.headers)
    except BaseException:
        _close(reply)
        raise
    if method == "HEAD":
        _close(reply)
        return ()
    return reply.body


def _close(reply: Reply) -> None:
    close = getattr(reply.body, "close", None)
    if close is not None:
        close()
