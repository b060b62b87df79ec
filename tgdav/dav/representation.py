"""What headers say of a node's content: its validators, its type, how it may be shown."""

from tgdav.dav.dates import http_date
from tgdav.dav.media import content_type
from tgdav.dav.sandbox import disposition
from tgdav.tree.nodes import Node

Fields = list[tuple[str, str]]


def etag(node: Node | None) -> str | None:
    """The strong ETag in its quotes; None for what has none."""
    return f'"{node.etag}"' if node is not None and node.etag else None


def validators(node: Node) -> Fields:
    """What tells this version from any other, and when it was made."""
    fields = [("Last-Modified", http_date(node.modified_ns))]
    tag = etag(node)
    return fields if tag is None else [("ETag", tag), *fields]


def headers(node: Node, media_type: str | None = None) -> Fields:
    """Of a file's bytes, sent as `media_type` where it is not the file's own."""
    own = content_type(node.name)
    return [
        *validators(node),
        ("Content-Type", media_type or own),
        ("Accept-Ranges", "bytes"),
        *disposition(own),
    ]
