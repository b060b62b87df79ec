"""WsgiDAV's authenticator over our users: Basic alone, read strictly.

Digest stays off: WsgiDAV never checks its nonces, and it would need passwords kept in
a form that logs in by itself.
"""

import base64
import binascii
from collections.abc import Callable, Iterable
from math import ceil
from typing import Any

from wsgidav.dc.base_dc import BaseDomainController
from wsgidav.http_authenticator import HTTPAuthenticator

from tgdav.dav.logins import Logins
from tgdav.dav.messages import USER, Environ, Piece
from tgdav.dav.statuses import HttpError
from tgdav.dav.throttle import Throttled

LOGINS = "tgdav.logins"
"""Where WsgiDAV's configuration holds our `Logins`: it makes its parts by class."""

CHALLENGE = ("WWW-Authenticate", 'Basic realm="tgdav", charset="UTF-8"')


class DomainController(BaseDomainController):  # type: ignore[misc]
    """One realm, for all; nobody enters without a password."""

    def __init__(self, wsgidav_app: Any, config: dict[str, Any]) -> None:
        super().__init__(wsgidav_app, config)
        self._logins: Logins = config[LOGINS]

    def get_domain_realm(self, path_info: str, environ: Environ | None) -> str:
        return "tgdav"

    def require_authentication(self, realm: str, environ: Environ | None) -> bool:
        return True

    def supports_http_digest_auth(self) -> bool:
        return False

    def basic_auth_user(self, realm: str, user_name: str, password: str, environ: Environ) -> bool:
        """Whether this is the password; the name becomes the user's own spelling."""
        try:
            user = self._logins.admit(user_name, password, environ["REMOTE_ADDR"])
        except Throttled as error:
            wait = ("Retry-After", str(ceil(error.retry_after_s)))
            raise HttpError(429, "too many wrong passwords; wait", headers=(wait,)) from error
        if user is None:
            return False
        environ["wsgidav.auth.user_name"] = user.name
        environ[USER] = user
        return True


class Authenticator(HTTPAuthenticator):  # type: ignore[misc]
    """Raises `HttpError` 401 and 429 for `Errors` to answer."""

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[Piece]:
        # WsgiDAV takes no password with a query that holds "logout"; no verb has a query.
        environ["QUERY_STRING"] = ""
        answer: Iterable[Piece] = super().__call__(environ, start_response)
        return answer

    def handle_basic_auth_request(
        self, environ: Environ, start_response: Callable[..., Any]
    ) -> Iterable[Piece]:
        name, password = credentials(environ["HTTP_AUTHORIZATION"])
        if not self.domain_controller.basic_auth_user("tgdav", name, password, environ):
            raise _unknown()
        answer: Iterable[Piece] = self.next_app(environ, start_response)
        return answer

    def send_basic_auth_response(
        self, environ: Environ, start_response: Callable[..., Any]
    ) -> Iterable[Piece]:
        raise _unknown()


def credentials(header: str) -> tuple[str, str]:
    """Name and password of a Basic `Authorization` (RFC 7617). Raises `HttpError` 401."""
    _, _, encoded = header.partition(" ")
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError) as error:
        raise _unknown() from error
    name, colon, password = text.partition(":")
    if not colon:
        raise _unknown()
    return name, password


def _unknown() -> HttpError:
    """A new one each time: an error holds on to every frame that it was raised through."""
    return HttpError(401, "log in", headers=(CHALLENGE,))
