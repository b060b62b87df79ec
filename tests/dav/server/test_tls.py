"""TLS: made by the worker, with a time limit, and never in anybody's way."""

import datetime
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.dav.server.running import HOST, Application, Peer, running
from tgdav.dav.server import Server, ServerOptions
from tgdav.errors import SettingsRefused


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that lives an hour, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "drive.test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "cert").write_bytes(made.public_bytes(pem))
    (folder / "key").write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    return folder / "cert", folder / "key"


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def server(certificate: tuple[Path, Path], application: Application) -> Iterator[Server]:
    cert, key = certificate
    with running(application, tls_cert=cert, tls_key=key, threads=4, head_s=2) as server:
        yield server


@pytest.fixture
def client(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificate[0]))
    context.check_hostname = False
    return context


def test_serves_over_tls(server: Server, client: ssl.SSLContext, application: Application) -> None:
    assert server.url.startswith("https://")
    body = bytes(range(256)) * 4096
    with Peer(server, tls=client) as peer:
        assert peer.ask("PUT", "/keep", body=body).status == 201
        time.sleep(0.1)  # into the selector and back
        assert peer.ask("GET").body == b"hello"
        assert peer.ask("GET").body == b"hello"
    assert application.bodies == [body]


def test_requests_in_one_record_are_all_seen(server: Server, client: ssl.SSLContext) -> None:
    with Peer(server, tls=client) as peer:
        peer.send((f"GET / HTTP/1.1\r\n{HOST}\r\n" * 3).encode() + b"\r\n" * 30)
        assert [peer.answer().status for _ in range(3)] == [200] * 3


def test_what_came_in_one_record_with_a_body_is_seen(
    certificate: tuple[Path, Path], client: ssl.SSLContext, application: Application
) -> None:
    cert, key = certificate
    with (
        running(application, tls_cert=cert, tls_key=key, pause_s=0) as server,
        Peer(server, tls=client) as peer,
    ):
        peer.send(f"PUT /keep HTTP/1.1\r\n{HOST}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert peer._until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue"
        peer.send(f"helloGET / HTTP/1.1\r\n{HOST}\r\n")  # no selector tells of the rest
        assert [peer.answer().status for _ in range(2)] == [201, 200]


def test_silent_clients_stop_nobody(server: Server, client: ssl.SSLContext) -> None:
    silent = [Peer(server) for _ in range(10)]
    began = time.monotonic()
    with Peer(server, tls=client) as peer:
        assert peer.ask("GET").status == 200
    assert time.monotonic() - began < 1.5
    for each in silent:
        each.socket.close()


def test_a_handshake_must_end_in_time(server: Server, client: ssl.SSLContext) -> None:
    stuck = [Peer(server).send(b"\x16\x03\x01") for _ in range(3)]
    with Peer(server, "127.0.0.2", tls=client) as peer:
        assert peer.ask("GET").status == 200
    for each in stuck:
        assert each.is_closed(8)
        each.socket.close()


def test_plain_http_is_told(server: Server) -> None:
    with Peer(server) as peer:
        answer = peer.ask("GET")
        assert (answer.status, answer.body) == (400, b"https is spoken here\n")


def test_garbage_handshake_is_closed(server: Server, client: ssl.SSLContext) -> None:
    with Peer(server) as peer:
        peer.send(b"\x16\x03\x01\x00\x02\xff\xff")
        with pytest.raises((EOFError, ConnectionError)):
            peer._until(b"never")
    with Peer(server, tls=client) as peer:
        assert peer.ask("GET").status == 200


def test_a_body_cut_by_the_end_of_tls_is_incomplete(
    server: Server, client: ssl.SSLContext, application: Application
) -> None:
    with Peer(server, tls=client) as peer:
        peer.send(f"PUT /keep HTTP/1.1\r\n{HOST}Content-Length: 100\r\n\r\n" + "x" * 50)
        assert application.reading.wait(5)
        peer.socket.shutdown(1)
    with Peer(server, tls=client) as peer:
        peer.ask("GET")
    assert application.bodies == []


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_key_without_a_certificate_is_not_plain_http(
    application: Application, certificate: tuple[Path, Path], host: str
) -> None:
    options = ServerOptions(host=host, port=0, tls_key=certificate[1], insecure=True)
    with pytest.raises(SettingsRefused, match="without a certificate"):
        Server(application, options)


def test_old_tls_is_not_spoken(server: Server, certificate: tuple[Path, Path]) -> None:
    assert server.tls is not None
    assert server.tls.minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("damage", ["missing", "garbage", "other key"])
def test_certificate_that_cannot_be_used(
    certificate: tuple[Path, Path], tmp_path: Path, damage: str
) -> None:
    cert, key = certificate
    if damage == "missing":
        cert = tmp_path / "none"
    elif damage == "garbage":
        cert = tmp_path / "garbage"
        cert.write_text("garbage")
    else:
        other = ec.generate_private_key(ec.SECP256R1())
        key = tmp_path / "key"
        key.write_bytes(
            other.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    with pytest.raises(SettingsRefused, match="certificate"):
        Server(Application(), ServerOptions(port=0, tls_cert=cert, tls_key=key))
