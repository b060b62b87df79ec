"""help.*: where the data centres are, and what an account may do."""

from datetime import timedelta
from zlib import crc32

from telethon.tl import types
from telethon.tl.functions import help as help_

from tests.telegram_server.methods.method import Call, answers

BIG_NUMBERS = {
    "chat_size_max": 200,
    "megagroup_size_max": 200_000,
    "forwarded_count_max": 100,
    "online_update_period_ms": 210_000,
    "offline_blur_timeout_ms": 5_000,
    "offline_idle_timeout_ms": 30_000,
    "online_cloud_timeout_ms": 300_000,
    "notify_cloud_delay_ms": 30_000,
    "notify_default_delay_ms": 1_500,
    "push_chat_period_ms": 60_000,
    "push_chat_limit": 2,
    "edit_time_limit": 172_800,
    "revoke_time_limit": 2_147_483_647,
    "revoke_pm_time_limit": 2_147_483_647,
    "rating_e_decay": 2_419_200,
    "stickers_recent_limit": 200,
    "channels_read_media_period": 604_800,
    "call_receive_timeout_ms": 20_000,
    "call_ring_timeout_ms": 90_000,
    "call_connect_timeout_ms": 30_000,
    "call_packet_timeout_ms": 10_000,
    "caption_length_max": 1_024,
    "message_length_max": 4_096,
}
"""As Telegram's own config has them."""


@answers(help_.GetConfigRequest, anybody=True)
def get_config(call: Call, _: help_.GetConfigRequest) -> types.Config:
    now = call.state.clock.date()
    return types.Config(
        date=now,
        expires=now + timedelta(hours=1),
        test_mode=False,
        this_dc=call.caller.data_centre,
        dc_options=[
            types.DcOption(number, call.state.host, port, static=True)
            for number, port in sorted(call.state.data_centres.items())
        ],
        dc_txt_domain_name="localhost",
        me_url_prefix="https://t.me/",
        webfile_dc_id=min(call.state.data_centres),
        **BIG_NUMBERS,
    )


@answers(help_.GetNearestDcRequest, anybody=True)
def get_nearest_dc(call: Call, _: help_.GetNearestDcRequest) -> types.NearestDc:
    here = call.caller.data_centre
    return types.NearestDc(country="DE", this_dc=here, nearest_dc=here)


@answers(help_.GetAppConfigRequest, anybody=True)
def get_app_config(
    call: Call, request: help_.GetAppConfigRequest
) -> types.help.AppConfig | types.help.AppConfigNotModified:
    values = _app_values(call)
    mark = crc32(repr(values).encode()) & 0x7FFFFFFF
    if request.hash == mark:
        return types.help.AppConfigNotModified()
    told = [types.JsonObjectValue(key, _json(value)) for key, value in values.items()]
    return types.help.AppConfig(mark, types.JsonObject(told))


def _app_values(call: Call) -> dict[str, int | str]:
    switches = call.state.switches
    values: dict[str, int | str] = {
        "upload_max_fileparts_default": switches.parts_default,
        "upload_max_fileparts_premium": switches.parts_premium,
        "caption_length_limit_default": switches.caption_default,
        "caption_length_limit_premium": switches.caption_premium,
        "channels_limit_default": switches.channels_default,
        "channels_limit_premium": switches.channels_premium,
        "small_queue_max_active_operations_count": 5,
        "large_queue_max_active_operations_count": 2,
        "upload_premium_speedup_upload": 10,
        "upload_premium_speedup_download": 10,
    }
    account = call.standing.login.account if call.standing.login else None
    if account and account.frozen_until:
        values["freeze_since_date"] = account.frozen_since
        values["freeze_until_date"] = account.frozen_until
        values["freeze_appeal_url"] = "https://t.me/spambot"
    return values


def _json(value: int | str) -> types.TypeJSONValue:
    return types.JsonString(value) if isinstance(value, str) else types.JsonNumber(float(value))
