import pytest

from tgdav.dav.options import METHODS
from tgdav.dav.requests import VERBS


@pytest.mark.parametrize("path", ["/", "/missing/path"])
def test_the_same_is_said_everywhere(client, path):
    answer = client.options(path)
    assert answer.header("DAV") == "1, 2, 3, sabredav-partialupdate"
    assert answer.header("MS-Author-Via") == "DAV"
    assert answer.header("Accept-Ranges") == "bytes"
    assert answer.header("Content-Length") == "0"


def test_every_method_that_is_told_is_offered(client):
    told = client.options().header("Allow")
    assert told.split(", ") == list(METHODS)
    assert set(METHODS) == set(VERBS)
