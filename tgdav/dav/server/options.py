"""What the composition root decides about serving."""

from dataclasses import dataclass, field
from pathlib import Path

from tgdav.dav.sandbox import HEADERS
from tgdav.dav.server.body import BodyLimits


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Addresses, sizes and patience; the defaults are what a drive should have."""

    host: str = "127.0.0.1"
    port: int = 8080
    """0 takes a free one."""
    tls_cert: Path | None = None
    """Certificate chain (PEM); with it https, and nothing else, is spoken."""
    tls_key: Path | None = None
    insecure: bool = False
    """Listen beyond this machine although passwords travel in clear."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks that stand for many clients: no share of the workers."""
    threads: int = 64
    """Requests served at once."""
    share: float = 0.5
    """Of the threads: what one address may hold when few are left; 1 holds nobody back."""
    one_cpu: bool = True
    """Keep the HTTP threads on one CPU, where they do not fight for Python's lock."""
    grace_s: float = 20.0
    """What a stop gives running requests to finish."""
    backlog: int = 512
    """Connections that the system holds until they are accepted."""
    idle_connections: int = 256
    """Connections between two requests; beyond it the longest idle goes."""
    waiting_connections: int = 256
    """Connections that may wait for a worker; others are answered 503."""
    head_s: float = 10.0
    """From a head's first byte to its last; also for a TLS handshake."""
    body: BodyLimits = field(default_factory=BodyLimits)
    write_s: float = 300.0
    """To take one piece of an answer: a paused film holds on this long."""
    idle_s: float = 300.0
    """Between two requests of a connection, which takes no worker meanwhile."""
    pause_s: float = 0.05
    """How long a worker waits for a connection's next request, if there are workers to
    spare: two threads less to wake for each request of a busy client."""
    linger_s: float = 2.0
    """How long a client may go on sending what nobody reads, to see its answer."""
    headers: tuple[tuple[str, str], ...] = HEADERS
    """On every answer that does not have them."""
