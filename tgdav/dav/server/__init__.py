"""HTTP/1.1 on hardened cheroot: `Server(application, ServerOptions(...))`.

Speaks WSGI upwards. Knows no WebDAV, no user and no node.
"""

from tgdav.dav.server.body import BodyLimits
from tgdav.dav.server.options import ServerOptions
from tgdav.dav.server.server import Server

__all__ = ["BodyLimits", "Server", "ServerOptions"]
