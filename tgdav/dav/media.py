"""What a file is by the end of its name: GET and PROPFIND say the same of it.

From a table that comes with Python, never from the machine's own: two gateways of a
drive must not differ.
"""

from functools import lru_cache
from mimetypes import MimeTypes

_TYPES = MimeTypes()


def content_type(name: str) -> str:
    """The media type, without parameters; `application/octet-stream` when not known."""
    return _of_suffix(name.rpartition(".")[2].lower())


@lru_cache(1024)
def _of_suffix(suffix: str) -> str:
    # A compressed file (.gz) has the type of what it is now, not of what was packed.
    kind, encoding = _TYPES.guess_type(f"x.{suffix}")
    return kind if kind and not encoding else "application/octet-stream"
