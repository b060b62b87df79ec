"""Checksums that clients send with a body: kept, refused, or not understood."""

import base64
import hashlib
import zlib

import pytest

from tgdav.dav.checksums import LONGEST_KEPT, Checksums
from tgdav.errors import ChecksumMismatch

BODY = b"one"
DIGESTS = {name: hashlib.new(name, BODY) for name in ("md5", "sha1", "sha256", "sha512")}


def b64(name, body=BODY):
    return base64.b64encode(hashlib.new(name, body).digest()).decode()


def verified(headers, body=BODY, **how):
    checksums = Checksums(headers, **how)
    for place in range(len(body)):
        checksums.update(body[place : place + 1])
    return checksums.verify()


@pytest.mark.parametrize(
    "value",
    [
        "SHA1:" + DIGESTS["sha1"].hexdigest(),
        "MD5:" + DIGESTS["md5"].hexdigest(),
        "SHA256:" + DIGESTS["sha256"].hexdigest(),
        f"ADLER32:{zlib.adler32(BODY):08x}",
    ],
)
def test_owncloud_checksums_are_verified_and_kept(value):
    assert value.startswith("SHA256") or value in verified({"OC-Checksum": value}).split()
    with pytest.raises(ChecksumMismatch):
        verified({"OC-Checksum": value}, b"two")


def test_rclone_sends_one_and_compares_the_other():
    sha1, md5 = (f"{name.upper()}:{DIGESTS[name].hexdigest()}" for name in ("sha1", "md5"))
    assert verified({"OC-Checksum": sha1}) == verified({"OC-Checksum": md5}) == f"{sha1} {md5}"


def test_spelling_is_made_one():
    digest = DIGESTS["sha1"].hexdigest()
    assert verified({"OC-Checksum": f"sha-1:{digest.upper()}"}).startswith(f"SHA1:{digest} ")


def test_several_are_all_verified_and_as_many_kept_as_fit():
    values = [f"{name.upper()}:{DIGESTS[name].hexdigest()}" for name in ("sha256", "sha1", "md5")]
    values.append(f"ADLER32:{zlib.adler32(BODY):08x}")
    kept = verified({"OC-Checksum": " ".join(values)})
    assert kept == " ".join(values[1:])
    assert len(kept) <= LONGEST_KEPT
    for place in range(4):
        wrong = values.copy()
        wrong[place] = wrong[place].rpartition(":")[0] + ":" + "00" * 4
        with pytest.raises(ChecksumMismatch):
            verified({"OC-Checksum": " ".join(wrong)})


@pytest.mark.parametrize("value", ["SHA1:", "SHA1:zz", "SHA1:abc", "MD5:" + "0" * 40])
def test_a_broken_digest_fits_no_body(value):
    with pytest.raises(ChecksumMismatch):
        verified({"OC-Checksum": value})


@pytest.mark.parametrize("value", ["", "SHA3-256:00", "what is this", "CRC32:00"])
def test_an_unknown_algorithm_promises_nothing(value):
    assert verified({"OC-Checksum": value}) == ""


@pytest.mark.parametrize(
    ("header", "write"),
    [
        ("Content-MD5", lambda body: b64("md5", body)),
        ("Digest", lambda body: f"SHA-256={b64('sha256', body)},unixsum=30637"),
        ("Digest", lambda body: f"SHA={b64('sha1', body)}, MD5={b64('md5', body)}"),
        ("Repr-Digest", lambda body: f"sha-512=:{b64('sha512', body)}:"),
        (
            "Content-Digest",
            lambda body: f"sha-256=:{b64('sha256', body)}:, sha=:{b64('sha1', body)}:",
        ),
    ],
)
def test_http_digests_are_verified_and_not_kept(header, write):
    assert verified({header: write(BODY)}) == ""
    with pytest.raises(ChecksumMismatch):
        verified({header: write(b"two")})


def test_a_part_is_not_held_against_the_digest_of_the_whole():
    whole = {"OC-Checksum": "SHA1:00", "Digest": "MD5=AAAA", "Repr-Digest": "sha-256=:AAAA:"}
    assert verified(whole, whole=False) == ""
    with pytest.raises(ChecksumMismatch):
        verified({"Content-MD5": b64("md5", b"two")}, whole=False)
