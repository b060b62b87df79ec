"""A share without passwords in front of one with: what KIO needs, to write without a window."""

import base64
import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}


@contextmanager
def anonymous(port: int, user: str, password: str) -> Iterator[str]:
    """The URL at which whoever asks is `user` on the server at `port`."""
    credentials = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    class Forwarder(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __getattr__(self, name: str) -> Callable[[], None]:
            if name.startswith("do_"):
                return self.forward
            raise AttributeError(name)

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = {**self.headers, "Authorization": credentials}
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request(self.command, self.path, body, asked)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in HOP_BY_HOP | {"content-length"}:
                    self.send_header(name, value)
            told = answer.getheader("Content-Length") if self.command == "HEAD" else len(content)
            if answer.status not in (204, 304):
                self.send_header("Content-Length", str(told or 0))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Forwarder) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
