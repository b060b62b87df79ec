"""What a request brings with it to be allowed to change the tree."""

from collections.abc import Callable
from dataclasses import dataclass

from tgdav.tree.nodes import Node


@dataclass(frozen=True, slots=True)
class Permit:
    """Who asks, and the lock tokens that they submitted; a token is its own user's only."""

    user: str
    tokens: frozenset[str] = frozenset()


Check = Callable[[Node | None], None]
"""Looks at the node to be changed (None: there is none) inside the transaction.

It raises `PreconditionFailed`, and may be called again when the transaction is.
"""
