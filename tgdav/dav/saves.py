"""What every save of a body has in common: how it is read, checked, kept and answered.

A body is read only as fast as blocks are taken. Until `keep` returns nothing of it can
be seen; if it raises, nothing was changed.
"""

from tgdav.dav import representation
from tgdav.dav.checksums import Checksums
from tgdav.dav.dates import read_unix_time
from tgdav.dav.messages import Body, Headers, Reply, Request
from tgdav.dav.patience import kept_waiting
from tgdav.dav.statuses import HttpError
from tgdav.tree.save import Save


def require_plain(headers: Headers) -> None:
    """Refuse a body that would have to be decoded before it is what the client means."""
    coding = headers.get("Content-Encoding", "").strip().lower()
    if coding not in ("", "identity"):
        plain = ("Accept-Encoding", "identity")
        raise HttpError(415, "bodies come without a content coding", headers=(plain,))


def keep(request: Request, save: Save, *, size: int | None, whole: bool = True) -> Reply:
    """Read the body into `save`, publish it, answer 201 or 204.

    `size` is what it must turn out to be (None: nobody announced it). A checksum that
    does not fit, or a body that breaks off, raises and leaves the old content.
    """
    checksums = Checksums(request.headers, whole=whole)
    _pour(request.body, save, checksums)
    modified_ns = read_unix_time(request.headers.get("X-OC-Mtime", ""))
    checksum = checksums.verify()
    with kept_waiting(request):
        node, created = save.publish(size_expected=size, checksum=checksum, modified_ns=modified_ns)
    headers = representation.validators(node)
    headers += [
        ("OC-ETag", f'"{node.etag}"'),
        ("X-Tgdav-Durability", request.options.durability),
    ]
    if modified_ns is not None:
        headers.append(("X-OC-MTime", "accepted"))
    return Reply(201 if created else 204, headers)


def _pour(body: Body, save: Save, checksums: Checksums) -> None:
    while count := body.read_into(room := save.room):
        checksums.update(room[:count])
        save.filled(count)
