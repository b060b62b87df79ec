import pytest

from tgdav.dav.sandbox import disposition

KEPT = [("Content-Disposition", "attachment")]


@pytest.mark.parametrize(
    "content_type",
    [
        "text/html",
        "text/html; charset=utf-8",
        "image/svg+xml",
        "Image/SVG+XML",
        "application/xhtml+xml",
        "text/xml",
        "text/javascript",
        "application/octet-stream",
        "",
    ],
)
def test_what_may_run_a_script_is_not_shown(content_type: str) -> None:
    assert disposition(content_type) == KEPT


@pytest.mark.parametrize(
    "content_type",
    ["image/png", "audio/mpeg", "video/mp4", "text/plain; charset=utf-8", "application/pdf"],
)
def test_what_cannot_is_shown(content_type: str) -> None:
    assert disposition(content_type) == []
