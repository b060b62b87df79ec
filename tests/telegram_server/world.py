"""What Telegram does behind the wire: requests in, answers or errors out.

Synchronous, of one thread, without I/O. `methods/` answers, `state/` is what there is,
`verbs/` is what a test may do to it.
"""

from collections.abc import Callable
from typing import Any

from telethon.tl import TLRequest
from telethon.tl.functions.upload import (
    GetFileRequest,
    SaveBigFilePartRequest,
    SaveFilePartRequest,
)

from tests.telegram_server.caller import Caller
from tests.telegram_server.methods import (  # noqa: F401 - each registers what it answers
    account,
    auth,
    changing,
    channels,
    invites,
    members,
    reading,
    sending,
    updates,
    upload,
    users,
)
from tests.telegram_server.methods import help as help_  # noqa: F401 - likewise
from tests.telegram_server.methods.admission import admit
from tests.telegram_server.methods.method import METHODS
from tests.telegram_server.rpc import RpcError
from tests.telegram_server.state.state import State
from tests.telegram_server.verbs import contents, limits, people  # noqa: F401 - likewise
from tests.telegram_server.verbs.verb import VERBS

SAVE_SMALL, SAVE_BIG = METHODS[SaveFilePartRequest], METHODS[SaveBigFilePartRequest]
GET_FILE = METHODS[GetFileRequest]


class World:
    """One Telegram, which lives as long as the process."""

    def __init__(self, data_centres: dict[int, int], host: str = "127.0.0.1") -> None:
        self.state = State(data_centres, host)

    @property
    def mint_key(self) -> Callable[[int], tuple[Caller, bytes]] | None:
        """Makes an authorization key in a data centre, for the verb `session`."""
        return self.state.mint_key

    @mint_key.setter
    def mint_key(self, mint_key: Callable[[int], tuple[Caller, bytes]]) -> None:
        self.state.mint_key = mint_key

    def call(self, caller: Caller, connection: int, request: TLRequest) -> object:
        """The answer: a TL object, a bool or a list. Raises `RpcError`."""
        method = METHODS.get(type(request))
        if method is None:
            raise RpcError(400, "METHOD_INVALID")
        return method.answer(admit(self.state, caller, connection, method), request)

    def save_part(
        self,
        caller: Caller,
        connection: int,
        file_id: int,
        part: int,
        total: int | None,
        data: bytes,
    ) -> bool:
        """upload.saveFilePart, with `total` upload.saveBigFilePart. Raises `RpcError`."""
        method = SAVE_SMALL if total is None else SAVE_BIG
        call = admit(self.state, caller, connection, method)
        return upload.save_part(call, file_id, part, total, data)

    def file_range(
        self, caller: Caller, connection: int, request: GetFileRequest
    ) -> bytes | memoryview:
        """upload.getFile: what the answer carries. Raises `RpcError`."""
        return upload.file_range(admit(self.state, caller, connection, GET_FILE), request)

    def connected(self, caller: Caller, connection: int) -> None:
        """A connection speaks with this key."""
        self.state.logins.connected(caller, connection)

    def closed(self, connection: int) -> None:
        """It is no more; one that never spoke is no matter."""
        self.state.logins.closed(connection)

    def account_of(self, caller: Caller) -> str | None:
        """A stable name for whoever is logged in with the key: "user 1001"."""
        login = self.state.logins.standing(caller).login
        return f"user {login.account.user_id}" if login else None

    def control(self, verb: str, arguments: dict[str, Any]) -> object:
        """Do what a test asks. JSON in and out.

        Raises `KeyError` for an unknown verb, `ValueError` and `TypeError` for its arguments.
        """
        return VERBS[verb](self.state, **arguments)
