"""OPTIONS: what this server can do, the same for every URL, also where nothing is.

Windows and macOS ask before they know any path: a drive that does not say class 2
here is mounted read-only.
"""

from tgdav.dav.messages import Reply, Request

METHODS = (
    "OPTIONS",
    "GET",
    "HEAD",
    "PUT",
    "PATCH",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "DELETE",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
)
ALLOW = ", ".join(METHODS)
CLASSES = "1, 2, 3, sabredav-partialupdate"


def handle(_: Request) -> Reply:
    headers = [
        ("DAV", CLASSES),
        ("MS-Author-Via", "DAV"),
        ("Allow", ALLOW),
        ("Accept-Ranges", "bytes"),
    ]
    return Reply(200, headers, [])
