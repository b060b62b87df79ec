"""Which drives lie in stores of which nothing is known, and which of them a key opens.

Reads captions, and of a few packs the first bytes: a wrong key is found out before
anything is written.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tgdav.blocks.form import payload
from tgdav.blocks.form.keys import WRAPPED_LIMIT, Keys, unwrap
from tgdav.blocks.form.pack import HEADER_SIZE, parse_caption, read_header, read_pack
from tgdav.blocks.patience import patiently
from tgdav.blocks.recovery.heads import wrapped_in
from tgdav.errors import DriveMissing, KeyRefused, PackDamaged, ReplicaMissing
from tgdav.stores.base import Listed, Store
from tgdav.stores.pool import StorePool

SAMPLES = 3
"""Packs of a drive that are looked at for its key, and heads for a wrapped one."""
DRIVES = 1000
"""Drives in one pool; whoever writes forged captions shall not fill the memory."""


@dataclass(slots=True)
class Sighting:
    """A drive that was seen in some stores."""

    drive_id: bytes
    stores: set[int] = field(default_factory=set)
    """The numbers of those that have packs of it."""
    samples: list[tuple[Store, Listed]] = field(default_factory=list)
    heads: list[tuple[Store, Listed]] = field(default_factory=list)
    """The newest of each store, at most `SAMPLES`."""


def survey(pool: StorePool, progress: Callable[[int], None]) -> list[Sighting]:
    """Every drive in the pool's stores. Raises `StoreBusy`, `StoreError`, `DriveMissing`."""
    sightings: dict[bytes, Sighting] = {}
    seen = 0

    def look_through(no: int) -> None:
        nonlocal seen
        for listed in pool.store(no).scan():
            seen += 1
            progress(seen)
            _sight(sightings, no, pool.store(no), listed)

    for no in pool.numbers():
        patiently(partial(look_through, no))
    if not sightings:
        raise DriveMissing(f"no drive in these stores: none of {seen} objects is a pack of tgdav")
    return list(sightings.values())


def _sight(sightings: dict[bytes, Sighting], no: int, store: Store, listed: Listed) -> None:
    said = parse_caption(listed.caption)
    if said is None or (said.drive_id not in sightings and len(sightings) >= DRIVES):
        return
    sighting = sightings.setdefault(said.drive_id, Sighting(said.drive_id))
    sighting.stores.add(no)
    looked_at = sighting.heads if said.kind == "head" else sighting.samples
    if sum(each is store for each, _ in looked_at) < SAMPLES:
        looked_at.append((store, listed))


def drive_of(sightings: list[Sighting], keys: Keys, wanted: bytes | None) -> bytes:
    """The id of the one drive that these keys open, or of the one that is wanted.

    Raises `KeyRefused` if they open none, or not that one; `DriveMissing` if it is not
    there, or if they open several and none is named.
    """
    if wanted is not None and all(each.drive_id != wanted for each in sightings):
        raise DriveMissing(f"drive {wanted.hex()} is not in these stores; {_named(sightings)} are")
    opened = [each for each in sightings if any(_opens(keys, *at) for at in _looked_at(each))]
    if wanted is not None:
        opened = [each for each in opened if each.drive_id == wanted]
    if not opened:
        raise KeyRefused(
            f"the key {keys.key_id.hex()} opens none of {len(sightings)} drives in these stores"
        )
    if len(opened) > 1:
        raise DriveMissing(f"the key opens several drives; name one of {_named(opened)}")
    return opened[0].drive_id


def unwrapped(sightings: list[Sighting], passphrase: str, wanted: bytes | None) -> Keys:
    """The keys that the passphrase opens, of the wrapped ones in heads.

    Raises `KeyRefused` if there is none, or if it opens none.
    """
    tried = set()
    for sighting in sightings:
        if wanted in (None, sighting.drive_id):
            for wrapped in filter(None, (_wrapped(*at) for at in sighting.heads)):
                if wrapped in tried:
                    continue
                tried.add(wrapped)
                try:
                    return Keys(unwrap(wrapped, passphrase))
                except KeyRefused:
                    continue
    if not tried:
        raise KeyRefused("no key with a passphrase in these stores: give the recovery words")
    raise KeyRefused(f"the passphrase opens none of {len(tried)} keys in these stores")


def newest_head(sighting: Sighting, keys: Keys) -> dict[str, Any]:
    """What the newest head that can be read says; nothing if none can."""
    told = [facts for at in sighting.heads if (facts := _facts(keys, *at))]
    return max(told, key=lambda facts: (facts["epoch"], facts["position"]), default={})


def _looked_at(sighting: Sighting) -> Iterator[tuple[Store, Listed]]:
    yield from sighting.heads
    yield from sighting.samples


def _opens(keys: Keys, store: Store, listed: Listed) -> bool:
    try:
        header = patiently(lambda: store.read(listed.locator, 0, HEADER_SIZE))
        return read_header(header).key_id == keys.key_id
    except (PackDamaged, ReplicaMissing):
        return False


def _wrapped(store: Store, listed: Listed) -> bytes | None:
    size = min(listed.size, HEADER_SIZE + WRAPPED_LIMIT)
    try:
        return wrapped_in(patiently(lambda: store.read(listed.locator, 0, size)))
    except ReplicaMissing:
        return None


def _facts(keys: Keys, store: Store, listed: Listed) -> dict[str, Any] | None:
    def read(offset: int, size: int) -> bytes:
        return patiently(lambda: store.read(listed.locator, offset, size))

    try:
        return payload.read_facts(read_pack(read, listed.size, keys).journal)
    except (PackDamaged, ReplicaMissing):
        return None


def _named(sightings: list[Sighting]) -> str:
    return ", ".join(sorted(each.drive_id.hex() for each in sightings[:10]))
