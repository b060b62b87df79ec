"""PATCH as SabreDAV's page tells it: https://sabre.io/dav/http-patch/."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.dav.client import Client, never

OLD = b"1234567890"


@pytest.mark.parametrize(
    ("where", "result"),
    [
        ("bytes=0-3", b"----567890"),
        ("bytes=1-4", b"1----67890"),
        ("bytes=0-", b"----567890"),
        ("bytes=-4", b"123456----"),
        ("bytes=-2", b"12345678----"),
        ("bytes=2-", b"12----7890"),
        ("bytes=12-", b"1234567890\0\0----"),
        ("append", b"1234567890----"),
    ],
)
def test_the_table_of_the_specification(client: Client, where: str, result: bytes) -> None:
    old = client.put("/f", OLD).etag
    patched = client.patch("/f", b"----", x_update_range=where)
    assert client.get("/f").body == result
    assert patched.etag == client.head("/f").etag != old
    assert patched.header("X-Tgdav-Durability") == "local"


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (415, {"content_type": "text/plain", "x_update_range": "append"}),
        (400, {}),
        (400, {"x_update_range": "3-6"}),
        (400, {"x_update_range": "bytes=-0"}),
        (416, {"x_update_range": "bytes=0-4"}),
        (416, {"x_update_range": "bytes=6-3"}),
        (416, {"x_update_range": "bytes=-11"}),
        (412, {"x_update_range": "append", "if_match": '"other"'}),
        (412, {"x_update_range": "bytes=-2", "if_match": '"other"'}),
    ],
)
def test_what_is_refused_changes_nothing(client: Client, status: int, headers: dict) -> None:
    etag = client.put("/f", OLD).etag
    client.request(
        "PATCH",
        "/f",
        never(),
        status,
        announced=4,
        **{"content_type": "application/x-sabredav-partialupdate", **headers},
    )
    assert client.head("/f").etag == etag


def test_a_patch_announces_its_length(client: Client) -> None:
    client.put("/f", OLD)
    client.patch("/f", iter([b"----"]), 411, x_update_range="append")


def test_a_patch_needs_a_file(client: Client) -> None:
    client.mkcol("/d")
    client.patch("/none", b"----", 404, x_update_range="append")
    client.patch("/d", b"----", 405, x_update_range="append")


def test_a_patch_that_breaks_off_changes_nothing(client: Client) -> None:
    client.put("/f", OLD)
    client.patch("/f", b"--", 400, announced=4, x_update_range="bytes=0-3")
    assert client.get("/f").body == OLD


def test_a_place_counted_from_the_end_is_of_one_length(client: Client) -> None:
    client.put("/f", OLD)

    def overtaken():
        yield b"-"
        client.put("/f", b"longer than before")
        yield b"-"

    client.patch("/f", overtaken(), 503, announced=2, x_update_range="bytes=-2")
    assert client.get("/f").body == b"longer than before"


def test_rclone_asks_a_nextcloud_for_a_checksum(client: Client) -> None:
    etag = client.put("/f", OLD).etag
    asked = client.request("PATCH", "/f", check=204, x_recalculate_hash="sha1")
    assert asked.etag == etag
    client.request("PATCH", "/none", check=404, x_recalculate_hash="sha1")


PATCHES = st.lists(
    st.tuples(
        st.sampled_from(["put", "patch", "append"]),
        st.integers(0, 40),
        st.binary(min_size=1, max_size=20),
    ),
    max_size=6,
)


@settings(
    max_examples=30,
    deadline=None,
    # Every example begins with a file of its own content.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(patches=PATCHES)
def test_any_sequence_is_what_a_bytearray_would_be(client: Client, patches) -> None:
    model = bytearray(OLD)
    client.put("/model", OLD)
    for how, place, data in patches:
        start = len(model) if how == "append" else place
        if how == "append":
            client.patch("/model", data, x_update_range="append")
        elif how == "patch":
            client.patch("/model", data, x_update_range=f"bytes={start}-")
        else:
            stretch = f"bytes {start}-{start + len(data) - 1}/*"
            client.put("/model", data, 204, content_range=stretch)
        model += bytes(max(0, start - len(model)))
        model[start : start + len(data)] = data
        assert client.get("/model").body == bytes(model)
