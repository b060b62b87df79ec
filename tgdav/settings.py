"""Every option once: name, type, default, help; from it TOML key, variable and flag.

`[section] name` in `tgdav.toml` is `TGDAV_SECTION_NAME` in the environment and may
be a flag of a command; flags win over the environment, that over the file. Lists have
commas in variables and flags. What is not declared here is refused. Read by `app` and
`cli` only.
"""

import contextlib
import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ByteSize, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from tgdav.errors import SettingsRefused

FILE = "tgdav.toml"
PREFIX = "TGDAV_"
DATA = "TGDAV_DATA"
TESTS = "TGDAV_TEST_"
"""Variables of ours that are not settings: the data folder, and the tests' own."""

_EMPTY_URL = re.compile(r"""^([ \t]*(?:database\.)?url[ \t]*=[ \t]*)(?:""|'')""", re.MULTILINE)
_DATABASE = re.compile(r"^[ \t]*\[[ \t]*database[ \t]*\].*", re.MULTILINE)

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
Bytes = Annotated[ByteSize, Field(ge=0)]


def _parted(value: object) -> object:
    """What stands between the commas of a text; a list as it is."""
    if not isinstance(value, str):
        return value
    return tuple(part for each in value.split(",") if (part := each.strip()))


Texts = Annotated[tuple[str, ...], BeforeValidator(_parted)]


class Section(BaseModel):
    """A table of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSettings(Section):
    """How the drive is served."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    tls_cert: Path | None = Field(None, description="certificate chain (PEM); with it https")
    tls_key: Path | None = Field(None, description="private key of the certificate (PEM)")
    insecure: bool = Field(
        False, description="listen beyond this machine without TLS: passwords travel in clear"
    )
    prefix: str = Field(
        "", pattern=r"^(/[^/?#%]+)*$", description="path below which a proxy publishes the drive"
    )
    trusted_proxies: Texts = Field(
        (), description="addresses and networks whose X-Forwarded-For and -Proto are believed"
    )
    threads: int = Field(96, ge=2, le=1024, description="requests served at once")
    one_cpu: bool = Field(
        True, description="keep the HTTP threads on one CPU, where they do not fight for the lock"
    )
    grace_s: float = Field(
        20.0, ge=0, le=3600, description="seconds that a stop gives running requests to finish"
    )
    lock_s: int = Field(3600, ge=10, le=86400, description="longest life of a DAV lock, in seconds")
    quota_for_finder: bool = Field(
        False, description="tell macOS the free space; since 15.4 this delays mounting by 90 s"
    )


class DatabaseSettings(Section):
    """Where the metadata lives."""

    url: str = Field(
        "", description="postgresql://…; empty: an SQLite file in the data folder", repr=False
    )


class StoreSettings(Section):
    """How blocks are kept."""

    durability: Literal["disk", "store"] = Field(
        "disk", description="what an answered save has reached: this machine's disk, or the stores"
    )
    copies: int = Field(1, ge=1, le=8, description="stores that each pack is kept in")
    write_quorum: int = Field(
        1, ge=1, le=8, description="of these, stores that must have a pack; repair makes the rest"
    )
    pack_size: Bytes = Field(
        ByteSize(32 * MIB), ge=64 * KIB, le=512 * MIB, description="size of a pack"
    )
    flush_age_s: float = Field(
        30.0, ge=0, le=86400, description="seconds that a small save may wait to be packed"
    )
    staging_limit: Bytes = Field(
        ByteSize(GIB), ge=MIB, description="most bytes of small saves that wait to be packed"
    )
    snapshot_changes: int = Field(
        50_000, ge=100, description="changes after which the next snapshot is taken"
    )
    spool_limit: Bytes = Field(
        ByteSize(10 * GIB), ge=MIB, description="most bytes of packs that wait for the stores"
    )


class MaintenanceSettings(Section):
    """What keeps the drive sound by the clock, while it is served."""

    enabled: bool = Field(True, description="run the jobs by the clock while serving")
    bytes_per_s: Bytes = Field(
        ByteSize(8 * MIB), description="most that the jobs read from stores in a second; 0: all"
    )
    messages_per_hour: int = Field(
        500, ge=0, description="most packs that repair puts into distant stores in an hour; 0: all"
    )
    scrub_days: float = Field(
        30.0, ge=0, le=36500, description="days in which every replica is read and opened; 0: never"
    )
    fsck_hours: float = Field(
        24.0,
        ge=0,
        le=36500 * 24,
        description="hours between two comparisons with what the stores list; 0: never",
    )
    verify_hours: float = Field(
        24.0,
        ge=0,
        le=36500 * 24,
        description="hours between two trials of accounts and channels; 0: never",
    )


class TelegramSettings(Section):
    """How Telegram is spoken to. Its own limits are not published: these stay below them."""

    api_id: int = Field(0, ge=0, description="your number as a program, from my.telegram.org")
    api_hash: str = Field("", description="and the secret that goes with it", repr=False)
    server: str = Field(
        "",
        pattern=r"^([^:\s]+|\[[0-9a-fA-F:]+\]):\d{1,5}$|^$",
        description="host:port of another server to log in at; empty: Telegram's own",
    )
    server_key: Path | None = Field(None, description="public RSA key of that server (PEM)")
    senders: int = Field(8, ge=1, le=8, description="most data connections of an account each way")
    channel_messages: int = Field(
        500_000, ge=10, description="messages after which a channel is full, and another is made"
    )
    messages_per_hour: int = Field(
        1500, ge=1, description="most packs that a user sends in an hour"
    )
    messages_per_minute: int = Field(
        18, ge=1, description="most packs that a bot sends into a channel in a minute"
    )
    copy_by: Literal["upload", "reference"] = Field(
        "upload",
        description="a second store gets a pack by an upload of its own, or a reference to the "
        "first's: cheap, and safe from a lost channel only",
    )


class CacheSettings(Section):
    """What is kept at hand for reading."""

    memory: Bytes = Field(ByteSize(48 * MIB), description="opened blocks in memory")
    disk: Bytes = Field(ByteSize(GIB), description="sealed blocks of distant stores on this disk")


class MemorySettings(Section):
    """The bound on what all requests hold together."""

    budget: Bytes = Field(
        ByteSize(96 * MIB), ge=16 * MIB, description="bytes in flight in all saves and reads"
    )


class KeySettings(Section):
    """How the key is opened."""

    passphrase_file: Path | None = Field(
        None, description="file whose first line opens a key that has a passphrase"
    )


class HistorySettings(Section):
    """How long what was replaced or deleted is kept."""

    keep_days: float = Field(
        30.0, ge=0, le=36500, description="days that old versions and deleted files are kept"
    )
    show_trash: bool = Field(
        False, description="list the folder .trash at the top; it can be opened either way"
    )
    guard_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="part of all files and folders that a user may delete within an hour; 0: all",
    )


class GcSettings(Section):
    """How patient the collection of garbage is."""

    age_s: float = Field(
        86400.0,
        ge=0,
        le=36500 * 86400,
        description="seconds after which blocks that nothing names are condemned",
    )
    grace_s: float = Field(
        86400.0,
        ge=0,
        le=36500 * 86400,
        description="seconds of serving between condemning and deleting",
    )
    waste_share: float = Field(
        0.5, gt=0, le=1, description="part of a pack that is dead before it is rewritten"
    )
    every_hours: float = Field(
        24.0,
        ge=0,
        le=36500 * 24,
        description="hours between two collections by the clock; 0: by hand only",
    )


class LogSettings(Section):
    """What is told while serving."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least weight of a line that is written to standard error"
    )


class Settings(Section):
    """All sections. Frozen; made by `load` only."""

    server: ServerSettings = ServerSettings()
    database: DatabaseSettings = DatabaseSettings()
    store: StoreSettings = StoreSettings()
    telegram: TelegramSettings = TelegramSettings()
    cache: CacheSettings = CacheSettings()
    maintenance: MaintenanceSettings = MaintenanceSettings()
    memory: MemorySettings = MemorySettings()
    key: KeySettings = KeySettings()
    history: HistorySettings = HistorySettings()
    gc: GcSettings = GcSettings()
    log: LogSettings = LogSettings()


def options() -> Iterator[tuple[str, str, FieldInfo]]:
    """Every option as (section, name, declaration)."""
    for section, table in Settings.model_fields.items():
        assert table.annotation is not None  # noqa: S101 - each section is a class above
        for name, field in table.annotation.model_fields.items():
            yield section, name, field


def variable(section: str, name: str) -> str:
    """The option's spelling in the environment."""
    return f"{PREFIX}{section}_{name}".upper()


def load(
    folder: Path,
    environment: Mapping[str, str] = os.environ,
    flags: Mapping[tuple[str, str], Any] | None = None,
) -> Settings:
    """Settings of the drive in `folder`, flags before variables before its file.

    Raises `SettingsRefused` naming the option, and for an unknown one the nearest
    that is known. A missing file is an empty one; an unreadable one is refused.
    """
    tables = _file(folder / FILE)
    for (section, name), value in (_variables(environment) | dict(flags or {})).items():
        tables.setdefault(section, {})[name] = value
    try:
        return Settings.model_validate(tables)
    except ValidationError as error:
        raise SettingsRefused(_sentence(error)) from error


def with_database_url(text: str, url: str) -> str:
    """The settings file `text` with `url` for its database; all else stays as it is written.

    `text` must be valid and have no such url yet. Raises `SettingsRefused` where a person
    has to find the place.
    """
    line = f"url = {json.dumps(url, ensure_ascii=False)}"
    tables = tomllib.loads(text)
    wanted = tables | {"database": {"url": url}}
    for written in (
        _EMPTY_URL.sub(lambda found: found[1] + line.removeprefix("url = "), text, count=1),
        _DATABASE.sub(lambda found: f"{found[0]}\n{line}", text, count=1),
        f"{text}\n[database]\n{line}\n",
    ):
        with contextlib.suppress(tomllib.TOMLDecodeError):
            if tomllib.loads(written) == wanted:
                return written
    raise SettingsRefused(
        f'write url = "…", with the database that was named, into [database] in {FILE} by hand: '
        "its place there was not found"
    )


def _file(path: Path) -> dict[str, dict[str, Any]]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsRefused(f"{FILE} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsRefused(f"{FILE} is not TOML: {error}") from error
    known: dict[str, set[str]] = {section: set() for section, _, _ in options()}
    for section, name, _ in options():
        known[section].add(name)
    for section, table in tables.items():
        _require_known(section, known, f"{FILE}: [{{}}]")
        if not isinstance(table, dict):
            raise SettingsRefused(f"{FILE}: {section} is a section: write [{section}] above it")
        for name in table:
            _require_known(name, known[section], f"{FILE}: {{}} in [{section}]")
    return tables


def _variables(environment: Mapping[str, str]) -> dict[tuple[str, str], Any]:
    known = {variable(section, name): (section, name) for section, name, _ in options()}
    values: dict[tuple[str, str], Any] = {}
    for spelled, value in environment.items():
        is_other = spelled == DATA or spelled.startswith(TESTS)
        if spelled.startswith(PREFIX) and not is_other:
            _require_known(spelled, known, "environment: {}")
            values[known[spelled]] = value
    return values


def _require_known(name: str, known: Iterable[str], where: str) -> None:
    if name in known:
        return
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)
    raise SettingsRefused(f"{where.format(name)} is not an option; the nearest is {nearest[0]}")


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg'][0].lower()}{first['msg'][1:]}"
