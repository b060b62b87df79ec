"""Parts that were saved and not sent yet: Telegram's rules for them, and their life.

Source: core.telegram.org/api/files#uploading-files.
"""

from dataclasses import dataclass, field
from hashlib import md5

from tests.telegram_server.rpc import RpcError
from tests.telegram_server.state.clock import Clock
from tests.telegram_server.state.logins import Login
from tests.telegram_server.state.switches import Switches

LARGEST_PART = 512 << 10
LARGEST_SMALL_FILE = 10 << 20


@dataclass
class Upload:
    began: float
    total: int | None
    """How many parts the client has announced; None: it does not say."""
    part_size: int = 0
    """Of all but the last; 0: not known yet."""
    parts: dict[int, bytes] = field(default_factory=dict)


Key = tuple[int, int, int, bool]


class Uploads:
    def __init__(self, clock: Clock, switches: Switches) -> None:
        self._clock = clock
        self._switches = switches
        self._all: dict[Key, Upload] = {}
        self._swept = 0.0

    def save(
        self,
        login: Login,
        data_centre: int,
        file_id: int,
        part: int,
        total: int | None,
        data: bytes,
    ) -> None:
        """Keep one part; saved again it replaces the first. `total` None: a small file.

        Raises `RpcError` FILE_PART_* or FILE_PARTS_INVALID.
        """
        key = self._key(login, data_centre, file_id, is_big=total is not None)
        announced = total if total is not None and total != -1 else None
        self._check_number(login, part, announced)
        upload = self._all.get(key)
        if upload is None or self._is_over(key, upload):
            self._sweep()
            upload = self._all[key] = Upload(self._clock.now(), announced)
        if announced is not None and upload.total not in {None, announced}:
            raise RpcError(400, "FILE_PARTS_INVALID")
        upload.total = upload.total or announced
        is_inner = upload.total is not None and part < upload.total - 1
        self._check_size(upload, len(data), is_inner=is_inner)
        upload.parts[part] = bytes(data)

    def take(
        self,
        login: Login,
        data_centre: int,
        file_id: int,
        count: int,
        md5_checksum: str | None,
    ) -> list[bytes]:
        """The parts of a whole file, which stay where they are. `md5_checksum` None: a big file.

        Raises `RpcError` FILE_PARTS_INVALID, FILE_PART_*, MD5_CHECKSUM_INVALID.
        """
        key = self._key(login, data_centre, file_id, is_big=md5_checksum is None)
        if not 0 < count <= self.most_parts(login):
            raise RpcError(400, "FILE_PARTS_INVALID")
        upload = self._all.get(key)
        if upload is None or self._is_over(key, upload):
            raise RpcError(400, "FILE_PART_0_MISSING")
        if upload.total not in {None, count} or max(upload.parts) >= count:
            raise RpcError(400, "FILE_PARTS_INVALID")
        parts = [self._part(upload, number) for number in range(count)]
        _check_whole(parts, md5_checksum)
        return parts

    def most_parts(self, login: Login) -> int:
        switches = self._switches
        return switches.parts_premium if login.account.premium else switches.parts_default

    def lose(self, part: int | None) -> int:
        """Forget all that was saved and not sent, or just that part; how much there was."""
        if part is None:
            lost = sum(len(upload.parts) for upload in self._all.values())
            self._all.clear()
            return lost
        return sum(upload.parts.pop(part, None) is not None for upload in self._all.values())

    def contents(self) -> list[list[bytes]]:
        return [[one.parts[no] for no in sorted(one.parts)] for one in self._all.values()]

    def _key(self, login: Login, data_centre: int, file_id: int, *, is_big: bool) -> Key:
        shared = self._switches.parts_shared_by_logins
        who = login.account.user_id if shared else login.login_id
        return who, data_centre, file_id, is_big

    def _check_number(self, login: Login, part: int, total: int | None) -> None:
        most = self.most_parts(login)
        if total is not None and not 0 < total <= most:
            raise RpcError(400, "FILE_PARTS_INVALID")
        if not 0 <= part < (total or most):
            raise RpcError(400, "FILE_PART_INVALID")

    @staticmethod
    def _check_size(upload: Upload, size: int, *, is_inner: bool) -> None:
        if not size:
            raise RpcError(400, "FILE_PART_EMPTY")
        if size > LARGEST_PART:
            raise RpcError(400, "FILE_PART_TOO_BIG")
        if is_inner:
            if size % 1024 or LARGEST_PART % size:
                raise RpcError(400, "FILE_PART_SIZE_INVALID")
            if upload.part_size not in {0, size}:
                raise RpcError(400, "FILE_PART_SIZE_CHANGED")
            upload.part_size = size
        elif upload.part_size and size > upload.part_size:
            raise RpcError(400, "FILE_PART_SIZE_CHANGED")

    @staticmethod
    def _part(upload: Upload, number: int) -> bytes:
        try:
            return upload.parts[number]
        except KeyError:
            raise RpcError(400, f"FILE_PART_{number}_MISSING") from None

    def _is_over(self, key: Key, upload: Upload) -> bool:
        *_, is_big = key
        switches = self._switches
        life = switches.big_part_life_s if is_big else switches.small_part_life_s
        return not upload.parts or self._clock.now() - upload.began > life

    def _sweep(self) -> None:
        """Let go of dead parts, now and then."""
        if self._clock.now() - self._swept < 60:
            return
        self._swept = self._clock.now()
        for key in [key for key, one in self._all.items() if self._is_over(key, one)]:
            del self._all[key]


def _check_whole(parts: list[bytes], md5_checksum: str | None) -> None:
    size = len(parts[0])
    if len(parts) > 1 and (size % 1024 or LARGEST_PART % size):
        raise RpcError(400, "FILE_PART_LENGTH_INVALID")
    if any(len(part) != size for part in parts[1:-1]) or len(parts[-1]) > size:
        raise RpcError(400, "FILE_PART_LENGTH_INVALID")
    if md5_checksum is None:
        return
    if sum(map(len, parts)) > LARGEST_SMALL_FILE:
        raise RpcError(400, "FILE_PARTS_INVALID")
    if md5_checksum and md5(b"".join(parts)).hexdigest() != md5_checksum.lower():
        raise RpcError(400, "MD5_CHECKSUM_INVALID")
