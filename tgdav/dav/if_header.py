"""The `If` header of RFC 4918, 10.4: what it says, and whether it holds. Pure.

Reading takes one pass over at most 8 KiB and 32 lists; what is longer or is not in
the grammar is refused. Knows neither locks nor nodes: the caller tells their state.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

LONGEST = 8 << 10
MOST_LISTS = 32

_TOKEN = re.compile(
    r"[ \t]*(?:(?P<open>\()|(?P<close>\))|(?P<negation>not\b)"
    r"|<(?P<url>[^<>]+)>|\[(?P<etag>(?:W/)?\"[^\"]*\")\])",
    re.IGNORECASE,
)


class IfMalformed(ValueError):
    """Not in the grammar, or beyond the bounds."""


@dataclass(frozen=True, slots=True)
class State:
    """What conditions are compared with: how one resource stands."""

    etag: str | None = None
    """In quotes; None for a resource without one."""
    tokens: frozenset[str] = frozenset()
    """Of the locks that cover it."""


@dataclass(frozen=True, slots=True)
class Condition:
    """That the resource has, or has not, this etag or this lock."""

    kind: str
    value: str
    negated: bool = False

    def holds(self, state: State) -> bool:
        """Compare strongly; a token that locks nothing here is just not met."""
        met = self.value == state.etag if self.kind == "etag" else self.value in state.tokens
        return met is not self.negated


@dataclass(frozen=True, slots=True)
class ConditionList:
    """Conditions that must all hold for one resource."""

    url: str | None
    """The tagged resource; None for the one that the request is for."""
    conditions: tuple[Condition, ...]

    def holds(self, state: State) -> bool:
        return all(condition.holds(state) for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class IfHeader:
    """Lists of which one must hold."""

    lists: tuple[ConditionList, ...]

    @property
    def tokens(self) -> frozenset[str]:
        """Every token that is submitted, negated ones too (RFC 4918, 10.4.1)."""
        return frozenset(
            condition.value
            for conditions in self.lists
            for condition in conditions.conditions
            if condition.kind == "url"
        )

    def holds(self, state_of: Callable[[str | None], State]) -> bool:
        return any(each.holds(state_of(each.url)) for each in self.lists)


def parse(text: str) -> IfHeader:
    """Read the header's value; raise `IfMalformed`."""
    if len(text) > LONGEST:
        raise IfMalformed(f"longer than {LONGEST} characters")
    tokens = _tokens(text)
    lists: list[ConditionList] = []
    url: str | None = None
    unused_url = False
    for kind, value in tokens:
        if kind == "url" and not unused_url and (url is not None or not lists):
            url, unused_url = value, True
        elif kind == "open" and len(lists) < MOST_LISTS:
            lists.append(ConditionList(url, _conditions(tokens)))
            unused_url = False
        else:
            raise IfMalformed(f"{kind} after {len(lists)} lists")
    if not lists or unused_url:
        raise IfMalformed("no list where one is needed")
    return IfHeader(tuple(lists))


def _conditions(tokens: Iterator[tuple[str, str]]) -> tuple[Condition, ...]:
    """The conditions up to the closing parenthesis."""
    found: list[Condition] = []
    negated = False
    for kind, value in tokens:
        if kind in ("url", "etag"):
            found.append(Condition(kind, value, negated))
            negated = False
        elif kind == "negation" and not negated:
            negated = True
        elif kind == "close" and found and not negated:
            return tuple(found)
        else:
            break
    raise IfMalformed("a list that is empty or does not end")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    text = text.rstrip(" \t")
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise IfMalformed(f"character {position}")
        yield match.lastgroup, match[match.lastgroup]
        position = match.end()
