"""The list of verbs; each module beside this one adds its own."""

from collections.abc import Callable
from typing import Any

Verb = Callable[..., Any]

VERBS: dict[str, Verb] = {}


def verb(function: Verb) -> Verb:
    """Register a function of the state and the verb's arguments, under its own name."""
    VERBS[function.__name__.rstrip("_")] = function
    return function
