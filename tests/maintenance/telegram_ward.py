"""A drive that two channels of different owners hold twice, to be damaged, found out and healed."""

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import text

from tests.maintenance.ward import FILES, harm
from tests.telegram_drive import settings
from tests.telegram_server.process import TelegramServer
from tests.tree.drive import Drive as Tree
from tgdav import app
from tgdav.maintenance import fsck, repair, scrub
from tgdav.maintenance.course import Course
from tgdav.maintenance.fsck import Finding
from tgdav.maintenance.repair import Repaired
from tgdav.maintenance.scrub import Scrubbed
from tgdav.settings import load

NUMBERS = itertools.count(1)
SETTLED = {"settled_s": 0.0}


class TelegramWard:
    """What `tgdav` commands do, in this process; `stores` and `channels` by their order."""

    def __init__(self, server: TelegramServer, drive: app.Drive) -> None:
        self.server = server
        self.drive = drive
        self.db = drive.db
        self.tree = Tree(drive)  # type: ignore[arg-type]  # it has a vault and a database
        self.users: dict[int, int] = {}
        self.stores: list[int] = []

    def add_user(self) -> int:
        """A user that is logged in: the number of its account."""
        phone = f"+99969{next(NUMBERS):06d}"
        user = self.server.control("add_user", phone=phone)["user_id"]
        session = self.server.control("session", account=user)
        no = self.drive.ledger.add_account("user", user, phone, session, False)
        self.users[no] = user
        return no

    def add_store(self) -> int:
        no = self.drive.add_telegram(title=f"packs of {len(self.stores)}")
        self.drive.vault.refresh()
        self.stores.append(no)
        return no

    def fill(self) -> None:
        self.tree.mkdir("/folder")
        for path, data in FILES.items():
            self.tree.save(path, data)
        self.drive.vault.flush()
        assert self.found() == set()

    # ---- what the jobs say and do

    def findings(self, **options: Any) -> list[Finding]:
        return list(fsck.fsck(self.drive.vault.workshop, **options))

    def found(self, **options: Any) -> set[str]:
        return {finding.kind for finding in self.findings(**options)}

    def scrub(self) -> Scrubbed:
        return scrub.scrub(self.drive.vault.workshop, Course())

    def repair(self, **options: Any) -> Repaired:
        return repair.repair(self.drive.vault.workshop, self.drive.scratch, **SETTLED | options)

    def contents_are_there(self) -> bool:
        """True if every file reads as it was saved, past any cache."""
        self.drive.vault.workshop.cache._memory._chunks.clear()
        return all(self.tree.read(path) == data for path, data in FILES.items())

    # ---- what there is

    def channel(self, store: int = 0) -> int:
        """Telegram's id of the channel that the store writes to."""
        return self.drive.ledger.channels(self.stores[store])[-1].channel_id

    def messages(self, store: int = 0) -> list[dict[str, Any]]:
        """The packs that a store's newest channel has, oldest first."""
        found: list[dict[str, Any]] = self.server.control("messages", channel=self.channel(store))
        return [message for message in found if message["file_name"]]

    def message(self, store: int = 0) -> int:
        """The id of the first of them."""
        return int(self.messages(store)[0]["id"])

    def column(self, statement: str) -> list[Any]:
        with self.db.read() as connection:
            return list(connection.scalars(text(statement)))

    def pack_of(self, message: int, store: int = 0) -> int:
        """The number of the pack that the message holds."""
        locator = f"{self.channel(store)}/{message}"
        (no,) = self.column(f"SELECT pack FROM replicas WHERE locator = '{locator}'")
        return int(no)

    def harm(self, *statements: str) -> None:
        harm(self.db, *statements)


@contextlib.contextmanager
def telegram_ward(
    server: TelegramServer, folder: Path, *, users: int = 3, stores: int = 2
) -> Iterator[TelegramWard]:
    """A drive whose stores are channels alone; `fsck` finds nothing at first."""
    folder.mkdir()
    told = settings(server, cached=False) + "[store]\ncopies = 2\n"
    (folder / "tgdav.toml").write_text(told)
    with app.alone(folder):
        app.make_unless_made(folder, load(folder))
    with app.opened(folder) as drive:
        ward = TelegramWard(server, drive)
        for _ in range(users):
            ward.add_user()
        for _ in range(stores):
            ward.add_store()
        harm(drive.db, "UPDATE stores SET state = 'gone' WHERE kind = 'directory'")
        drive.vault.refresh()
        yield ward
