"""All that there is in the world, and nothing that acts on it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.telegram_server.caller import Caller
from tests.telegram_server.state.accounts import Accounts
from tests.telegram_server.state.channels import Channels
from tests.telegram_server.state.clock import Clock
from tests.telegram_server.state.codes import Codes
from tests.telegram_server.state.documents import Documents
from tests.telegram_server.state.limits import Limits
from tests.telegram_server.state.logins import Logins
from tests.telegram_server.state.references import References
from tests.telegram_server.state.sends import Sends
from tests.telegram_server.state.switches import Switches
from tests.telegram_server.state.uploads import Uploads


@dataclass
class State:
    data_centres: dict[int, int]
    """Each with the port that it listens on."""
    host: str
    clock: Clock = field(default_factory=Clock)
    switches: Switches = field(default_factory=Switches)
    accounts: Accounts = field(default_factory=Accounts)
    channels: Channels = field(default_factory=Channels)
    words: set[str] = field(default_factory=set)
    """Every caption, name and title that was ever received."""
    false_saves: int = 0
    """So many saves of a part are answered with false, and keep nothing."""

    mint_key: Callable[[int], tuple[Caller, bytes]] | None = None
    """Makes an authorization key in a data centre; the wire gives it."""

    def __post_init__(self) -> None:
        time = (self.clock, self.switches)
        self.codes = Codes(*time)
        self.limits = Limits(*time)
        self.logins = Logins(*time)
        self.uploads = Uploads(*time)
        self.documents = Documents(*time)
        self.references = References(*time)
        self.sends = Sends(*time)
