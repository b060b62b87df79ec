"""WsgiDAV over its FilesystemProvider: folder, port, block size, user, password."""

import sys

from cheroot import wsgi
from wsgidav.fs_dav_provider import FilesystemProvider
from wsgidav.wsgidav_app import WsgiDAVApp

if __name__ == "__main__":
    folder, port, block, user, password = sys.argv[1:]
    app = WsgiDAVApp(
        {
            "provider_mapping": {"/": FilesystemProvider(folder)},
            "simple_dc": {"user_mapping": {"*": {user: {"password": password}}}},
            "http_authenticator": {"accept_digest": False, "default_to_digest": False},
            "block_size": int(block),
            "verbose": 1,
            "logging": {"enable": False},
        }
    )
    wsgi.Server(("127.0.0.1", int(port)), app, request_queue_size=128).start()
