"""MKCOL (RFC 4918, 9.3): an empty directory, with the time that rclone gives it."""

from tgdav.dav import conditions
from tgdav.dav.dates import read_unix_time
from tgdav.dav.messages import Reply, Request
from tgdav.dav.statuses import HttpError


def handle(request: Request) -> Reply:
    if not request.body.is_read and request.body.read(1):
        raise HttpError(415, "MKCOL takes no body")
    modified_ns = read_unix_time(request.headers.get("X-OC-Mtime", ""))
    request.tree.make_directory(
        request.path, request.permit, modified_ns=modified_ns, check=conditions.check(request)
    )
    headers = [] if modified_ns is None else [("X-OC-MTime", "accepted")]
    return Reply(201, headers, [])
