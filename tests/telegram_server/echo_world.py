"""A world that knows nearly nothing, for tests of the wire: it keeps parts and gives them back."""

from typing import Any

from telethon.tl import TLRequest
from telethon.tl.functions.help import GetConfigRequest, GetNearestDcRequest
from telethon.tl.functions.upload import GetFileRequest
from telethon.tl.functions.users import GetUsersRequest
from telethon.tl.types import Config, DcOption, NearestDc

from tests.telegram_server.caller import Caller
from tests.telegram_server.rpc import RpcError

# What a config must have, and no test looks at.
NUMBERS = """
    date expires chat_size_max megagroup_size_max forwarded_count_max online_update_period_ms
    offline_blur_timeout_ms offline_idle_timeout_ms online_cloud_timeout_ms notify_cloud_delay_ms
    notify_default_delay_ms push_chat_period_ms push_chat_limit edit_time_limit revoke_time_limit
    revoke_pm_time_limit rating_e_decay stickers_recent_limit channels_read_media_period
    call_receive_timeout_ms call_ring_timeout_ms call_connect_timeout_ms call_packet_timeout_ms
    caption_length_max message_length_max webfile_dc_id
"""


class EchoWorld:
    """Every caller is user 1000 plus its data centre. A file's id is what it was saved under."""

    def __init__(self, data_centres: dict[int, int], host: str = "127.0.0.1") -> None:
        self.data_centres, self.host = data_centres, host
        self.parts: dict[tuple[int, int], bytes] = {}
        self.saved: list[tuple[int, int]] = []
        self.connections: set[int] = set()

    def call(self, caller: Caller, connection: int, request: TLRequest) -> object:
        match request:
            case GetNearestDcRequest():
                return NearestDc("DE", caller.data_centre, 2)
            case GetConfigRequest():
                return self._config(caller)
            case GetUsersRequest():
                raise RpcError(401, "AUTH_KEY_UNREGISTERED")
        raise RpcError(400, "METHOD_INVALID")

    def save_part(
        self,
        caller: Caller,
        connection: int,
        file_id: int,
        part: int,
        total: int | None,
        data: bytes,
    ) -> bool:
        self.parts[file_id, part] = data
        self.saved.append((file_id, part))
        return True

    def file_range(self, caller: Caller, connection: int, request: GetFileRequest) -> memoryview:
        part, at = divmod(request.offset, 1 << 20)
        if (request.location.id, part) not in self.parts:
            raise RpcError(400, "LOCATION_INVALID")
        return memoryview(self.parts[request.location.id, part])[at : at + request.limit]

    def connected(self, caller: Caller, connection: int) -> None:
        self.connections.add(connection)

    def closed(self, connection: int) -> None:
        self.connections.remove(connection)

    def account_of(self, caller: Caller) -> str | None:
        return f"user {1000 + caller.data_centre}"

    def control(self, verb: str, arguments: dict[str, Any]) -> object:
        if verb == "parts":
            return sorted(self.parts)
        raise KeyError(verb)

    def _config(self, caller: Caller) -> Config:
        options = [DcOption(no, self.host, port) for no, port in self.data_centres.items()]
        numbers = dict.fromkeys(NUMBERS.split(), 1)
        return Config(
            this_dc=caller.data_centre,
            test_mode=False,
            dc_options=options,
            dc_txt_domain_name="",
            me_url_prefix="",
            **numbers,
        )
