"""The Depth header (RFC 4918, 10.2), which five methods read."""

from enum import Enum

from tgdav.dav.messages import Headers
from tgdav.dav.statuses import HttpError


class Depth(Enum):
    """How far below its URL a request reaches."""

    ZERO = "0"
    ONE = "1"
    INFINITY = "infinity"

    @classmethod
    def of(cls, headers: Headers) -> "Depth":
        """What the header says; infinity when there is none. Raises `HttpError` 400."""
        try:
            return cls(headers.get("Depth", "infinity").strip().lower())
        except ValueError as error:
            raise HttpError(400, "Depth is 0, 1 or infinity") from error
