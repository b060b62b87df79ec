"""A directory as a page: names, sizes, times, links; no script, nothing to submit.

Every name is escaped as text and quoted as a link; the page is written as it is
read, so that a directory of any size costs one page of rows.
"""

import base64
import hashlib
import html
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from urllib.parse import quote

from tgdav.tree.nodes import Node

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}
body{color:#222;background:#fff}
table{border-collapse:collapse;width:100%}
td,th{padding:.3rem .6rem;text-align:left;border-bottom:1px solid #ddd}
td:nth-child(2),th:nth-child(2){text-align:right;white-space:nowrap}
td:nth-child(3){white-space:nowrap;color:#666}
td:first-child{overflow-wrap:anywhere}
a{color:#06c;text-decoration:none}
a:hover{text-decoration:underline}
@media(prefers-color-scheme:dark){
body{color:#ddd;background:#1b1b1b}td,th{border-color:#444}a{color:#6af}}
"""
_HEAD = (
    """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>"""
    + _STYLE.replace("{", "{{").replace("}", "}}")
    + """</style></head><body><h1>{title}</h1>
<table><thead><tr><th>Name</th><th>Size</th><th>Changed (UTC)</th></tr></thead><tbody>
"""
)
_UP = '<tr><td><a href="{up}">../</a></td><td></td><td></td></tr>\n'
_FOOT = """</tbody></table>
<p>This folder is part of a network drive: map {href} as a WebDAV drive to write to it.</p>
</body></html>
"""

# The one style is named by its hash; all else that a page could load or run is refused.
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS = (
    ("Content-Type", "text/html; charset=utf-8"),
    (
        "Content-Security-Policy",
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'",
    ),
)
"""What the page is sent with."""


def page(href: str, title: str, is_root: bool, nodes: Iterable[Node]) -> Iterator[bytes]:
    """Write the page of the directory at `href` (already quoted, ends with "/").

    `title` is the path as a person reads it. Pieces are UTF-8, about 64 KiB each.
    """
    lines = [_HEAD.format(title=html.escape(title)), "" if is_root else _up(href)]
    for number, node in enumerate(nodes, 1):
        lines.append(_row(href, node))
        if number % 500 == 0:
            yield "".join(lines).encode("utf-8")
            lines.clear()
    lines.append(_FOOT.format(href=html.escape(href)))
    yield "".join(lines).encode("utf-8")


def _up(href: str) -> str:
    # The whole path: "../" leads too far from a URL without its last slash.
    return _UP.format(up=html.escape(href[: href.rindex("/", 0, -1) + 1]))


def _row(href: str, node: Node) -> str:
    slash = "/" if node.is_directory else ""
    # The whole path: a name such as "javascript:x" must not read as a scheme.
    link = html.escape(href + quote(node.name, safe="") + slash)
    size = "" if node.is_directory else readable(node.size)
    changed = datetime.fromtimestamp(node.modified_ns // 10**9, UTC).strftime("%Y-%m-%d %H:%M")
    name = html.escape(node.name)
    return (
        f'<tr><td><a href="{link}">{name}{slash}</a></td><td>{size}</td><td>{changed}</td></tr>\n'
    )


def readable(size: int) -> str:
    """`size` bytes as a person says it: "9 B", "1.4 MiB"."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
