"""What must always be true of a database, asserted after tests that write.

The rules are the product's: what `tgdav fsck` looks for.
"""

from itertools import islice

from tgdav.db import Database
from tgdav.maintenance.fsck import broken
from tgdav.maintenance.rules import MUST


def check(db: Database) -> None:
    """Assert every rule, and say all that is wrong."""
    found = {rule.sentence: list(islice(broken(db, rule), 5)) for rule in MUST}
    assert not any(found.values()), {rule: rows for rule, rows in found.items() if rows}
