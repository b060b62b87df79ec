"""Who asks."""

from dataclasses import dataclass
from typing import Any


@dataclass(eq=False)
class Caller:
    """One authorization key in one data centre; lives as long as the process."""

    key_id: int
    data_centre: int
    state: Any = None
    """The world keeps its login here."""
