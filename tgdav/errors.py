"""Everything raised on purpose, in three families: who has to act next.

*Refused*: the client must act. *Busy*: time must pass (`retry_after_s`).
*Failed*: the operator must act. A message is one sentence for a person: what,
which, the number; no names or paths of stored files. Knows no HTTP status.
"""


class TgdavError(Exception):
    """The root of all that tgdav raises on purpose."""


# ---- the client must act


class Refused(TgdavError):
    """The request cannot be carried out as it stands; nothing was changed."""


class NotFound(Refused):
    """No node has this path."""


class AlreadyExists(Refused):
    """A node has this path already."""


class ParentMissing(Refused):
    """The directory that should hold the node does not exist."""


class NotADirectory(Refused):
    """The path leads through, or to, a file where a directory is needed."""


class NotAFile(Refused):
    """The path leads to a directory where a file is needed."""


class NameRefused(Refused):
    """A name that no drive can keep: too long, or not to be written in XML."""


class Forbidden(Refused):
    """This user, or anybody, may not do this here."""


class DeletionStopped(Forbidden):
    """The user deleted so much within an hour that somebody has to confirm it first."""


class Misplaced(Refused):
    """A node cannot be copied or moved onto itself or into its own subtree."""


class PreconditionFailed(Refused):
    """The node is not in the state that the client named."""


class Locked(Refused):
    """A lock stands in the way; `path` is the node that holds it."""

    def __init__(self, message: str, path: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.path = path


class LockMissing(Refused):
    """No lock with this token covers the node for this user."""


class LimitReached(Refused):
    """A bound on what one user may keep (locks, properties, depth)."""


class QuotaExceeded(Refused):
    """The save is larger than what the user may still keep."""


class BodyIncomplete(Refused):
    """Fewer or more bytes came than were announced."""


class ChecksumMismatch(Refused):
    """The bytes that came are not those that the client sent."""


class RangeRefused(Refused):
    """A partial write that does not fit the content it should change."""


class PasswordRefused(Refused):
    """A password that cannot be used: empty, or too long."""


class UserUnknown(Refused):
    """No user has this name."""


class UserExists(Refused):
    """A user with this name exists already."""


class AccountUnknown(Refused):
    """No account has this number."""


class AccountInUse(Refused):
    """The login is one of the drive's already."""


# ---- time must pass


class Busy(TgdavError):
    """Try again after `retry_after_s`; nothing was changed."""

    def __init__(self, message: str, retry_after_s: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StoreBusy(Busy):
    """The store takes nothing more for now."""


class DatabaseBusy(Busy):
    """The database did not let the transaction in, or went away."""


class StagingFull(Busy):
    """What waits on this machine has reached its bound."""


class Draining(Busy):
    """The process is stopping and takes nothing new."""


# ---- the operator must act


class Failed(TgdavError):
    """A person has to repair or decide something; `exit_code` is the process's."""

    exit_code = 1


class StoreError(Failed):
    """A store could not do what it was asked; it may work again."""


class ReplicaMissing(StoreError):
    """The store holds nothing at this locator, or fewer bytes than asked for."""


class BlockDamaged(Failed):
    """A sealed block did not open: not what was sealed under this id and key."""


class PackDamaged(Failed):
    """A pack whose header or index cannot be believed."""


class ContentLost(Failed):
    """No sound replica of a block is left."""


class CollectionRefused(Failed):
    """gc would not be safe, or would take more than is likely to be meant."""

    exit_code = 65


class DiskFull(Failed):
    """This machine's disk (or the user's share of it) has no room."""

    exit_code = 73


class KeyRefused(Failed):
    """The key or passphrase is not this drive's, or its file is not safe."""

    exit_code = 77


class LoginRefused(Failed):
    """Telegram does not accept a number, code, password, token or session."""

    exit_code = 77


class DriveMissing(Failed):
    """There is no drive here, or one already where none may be."""

    exit_code = 66


class StoresAhead(Failed):
    """The stores know a newer state of the drive than the database: nothing may be changed."""

    exit_code = 71


class RecoveryIncomplete(Failed):
    """Part of what is to be recovered is not in the stores at hand."""

    exit_code = 72


class DriveInUse(Failed):
    """Another process serves this data folder."""

    exit_code = 75


class FolderRefused(Failed):
    """The data folder cannot be written: it is on a read-only disk, or somebody else's."""

    exit_code = 73


class DatabaseError(Failed):
    """The database cannot be opened, or is damaged."""

    exit_code = 74


class DatabaseTooNew(DatabaseError):
    """The database was written by a newer tgdav."""

    exit_code = 76


class SettingsRefused(Failed):
    """A settings file, variable or flag that cannot be understood."""

    exit_code = 78


class AddressInUse(Failed):
    """The address to listen on cannot be had."""

    exit_code = 69
