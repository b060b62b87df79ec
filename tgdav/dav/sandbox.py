"""What keeps a stored file from acting in a browser as if this server had written it. Pure."""

HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "sandbox; default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
)
"""On every answer, unless it has its own."""

_SHOWN = ("image/", "audio/", "video/")
_SHOWN_TYPES = frozenset({"text/plain", "application/pdf"})
_ACTIVE = frozenset({"image/svg+xml"})


def disposition(content_type: str) -> list[tuple[str, str]]:
    """The header that makes a browser keep a file of this type instead of showing it.

    Empty for what runs no script: pictures (not SVG), sound, films, plain text, PDF.
    """
    kind = content_type.partition(";")[0].strip().lower()
    is_inert = kind in _SHOWN_TYPES or (kind.startswith(_SHOWN) and kind not in _ACTIVE)
    return [] if is_inert else [("Content-Disposition", "attachment")]
