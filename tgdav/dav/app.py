"""The WebDAV face as one WSGI application: our parts in WsgiDAV's frame.

Left out of the frame: its directory browser (a share of its own that asks for no
password), the debug filter, CORS, its locks, properties and request server.
"""

import logging
from collections.abc import Iterable

from wsgidav.dav_provider import DAVProvider
from wsgidav.wsgidav_app import WsgiDAVApp

from tgdav.dav.auth import LOGINS, Authenticator, DomainController
from tgdav.dav.logins import Logins
from tgdav.dav.messages import DavOptions, Environ
from tgdav.dav.outer import Application, Errors, Outer
from tgdav.dav.proxies import Proxies
from tgdav.dav.requests import Requests
from tgdav.dav.throttle import Throttle
from tgdav.tree.tree import Tree


class Share(DAVProvider):  # type: ignore[misc]
    """The one share, which WsgiDAV's routes want. The verbs find their nodes themselves."""

    def get_resource_inst(self, path: str, environ: Environ) -> None:
        return None


def build(tree: Tree, options: DavOptions, trusted_proxies: Iterable[str] = ()) -> Application:
    """The application that serves `tree` to its users. Thread-safe.

    Raises `SettingsRefused` for a trusted proxy that is no address.
    """
    # Its lines hold user names and paths, and cost time on every request.
    logging.getLogger("wsgidav").setLevel(logging.CRITICAL + 1)
    frame = WsgiDAVApp(
        {
            "provider_mapping": {"/": Share()},
            "middleware_stack": [Errors, Authenticator, Requests(tree, options)],
            "http_authenticator": {
                "domain_controller": DomainController,
                "accept_basic": True,
                "accept_digest": False,
                "default_to_digest": False,
            },
            LOGINS: Logins(tree.users, Throttle()),
            "lock_storage": None,
            "property_manager": None,
            "hotfixes": {"re_encode_path_info": False},
            "logging": {"enable": False},
            "verbose": 0,
        }
    )
    return Outer(frame, options.prefix, Proxies(trusted_proxies))
