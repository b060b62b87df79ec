import pytest

from tgdav.dav.media import content_type


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.txt", "text/plain"),
        ("A.PDF", "application/pdf"),
        ("film.mp4", "video/mp4"),
        ("pack.tar.gz", "application/octet-stream"),
        ("README", "application/octet-stream"),
        (".hidden", "application/octet-stream"),
        ("dot.", "application/octet-stream"),
        ("", "application/octet-stream"),
    ],
)
def test_the_end_of_a_name_tells_the_type(name, kind):
    assert content_type(name) == kind
