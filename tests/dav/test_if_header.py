"""The If header: RFC 4918's own examples, a model, and input that wants to take long."""

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tgdav.dav.if_header import LONGEST, IfMalformed, State, parse

A, B = "urn:uuid:181d4fae", "urn:uuid:58f202ac"


def holds(header, **states):
    """Whether it holds; states by the last name of the tagged URL, `own` for no tag."""
    named = {None: "own"}
    return parse(header).holds(
        lambda url: states.get(named.get(url) or url.rpartition("/")[2], State())
    )


def test_one_list_is_a_conjunction():
    header = f'(<{A}> ["x"])'
    assert holds(header, own=State('"x"', frozenset({A})))
    assert not holds(header, own=State('"y"', frozenset({A})))
    assert not holds(header, own=State('"x"', frozenset()))


def test_lists_are_alternatives():
    header = f'(<{A}> ["I am an ETag"]) (["I am another ETag"])'
    assert holds(header, own=State('"I am another ETag"'))
    assert not holds(header, own=State('"neither"', frozenset({A})))


def test_not_turns_one_condition():
    header = f"(Not <{A}> <{B}>)"
    assert holds(header, own=State(None, frozenset({B})))
    assert not holds(header, own=State(None, frozenset({A, B})))
    assert holds("(not <DAV:no-lock>)")
    assert not holds("(<DAV:no-lock>)")
    assert holds(f"(<{A}>)(Not <DAV:no-lock>)")


def test_a_tag_names_the_resource_of_all_lists_up_to_the_next():
    header = f'</one> (<{A}>) (["e"]) <http://h/two> (<{B}>)'
    assert holds(header, one=State('"e"'))
    assert holds(header, two=State(None, frozenset({B})))
    assert not holds(header, one=State(None, frozenset({B})), two=State('"e"', frozenset({A})))
    assert not holds(header, own=State('"e"', frozenset({A, B})))


def test_weak_etags_never_match():
    assert not holds('([W/"x"])', own=State('"x"'))
    assert holds('(Not [W/"x"])', own=State('"x"'))


def test_all_tokens_are_submitted():
    header = parse(f'</one> (<{A}> ["x"]) <two> (Not <{B}>) (<DAV:no-lock>)')
    assert header.tokens == {A, B, "DAV:no-lock"}


@pytest.mark.parametrize(
    "header",
    [
        "",
        "()",
        "(",
        ")",
        "<a>",
        f"<{A}>(",
        f"<{A}> <{B}> (<x>)",
        f"(<{A}>",
        f"(<{A}>) )",
        "(<>)",
        "(Not)",
        f"(Not Not <{A}>)",
        f"((<{A}>))",
        f"(<{A}>) <{B}> (<{A}>)",
        f"(<{A}>) <{B}>",
        "([x])",
        '(["x)',
        f"(<{A}>) garbage",
        f"(Notable <{A}>)",
        "(<a>)" * 33,
    ],
)
def test_what_is_not_in_the_grammar_is_refused(header):
    with pytest.raises(IfMalformed):
        parse(header)


@pytest.mark.parametrize(
    "piece", ["(", "<", "[", "(<a>[", "(Not ", "<http://x> (<t>)", "(<a>)", " "]
)
def test_long_input_is_answered_at_once(piece):
    for size in (LONGEST, 60_000):
        begun = time.perf_counter()
        with pytest.raises(IfMalformed):
            parse((piece * size)[:size])
        assert time.perf_counter() - begun < 5, "the square of the length would be minutes"


CONDITIONS = st.tuples(st.booleans(), st.sampled_from(["a", "b", '"x"', '"y"']))
LISTS = st.lists(CONDITIONS, min_size=1, max_size=4)


def written(conditions):
    return "".join(
        f"{'Not ' if negated else ''}{f'[{value}]' if value[0] == chr(34) else f'<{value}>'}"
        for negated, value in conditions
    )


@given(
    lists=st.lists(st.tuples(st.sampled_from(["/one", "/two"]), LISTS), min_size=1, max_size=6),
    one=st.frozensets(st.sampled_from(["a", "b", '"x"']), max_size=3),
    two=st.frozensets(st.sampled_from(["a", "b", '"y"']), max_size=3),
)
def test_against_the_definition(lists, one, two):
    facts = {"/one": one, "/two": two}
    header = " ".join(f"<{url}> ({written(conditions)})" for url, conditions in lists)
    expected = any(
        all((value in facts[url]) is not negated for negated, value in conditions)
        for url, conditions in lists
    )

    def state(url):
        etag = next((fact for fact in facts[url] if fact[0] == '"'), None)
        return State(etag, frozenset(facts[url]) - {etag})

    assert parse(header).holds(state) is expected


@given(st.text(alphabet='()<>[]"W/Not \tab', max_size=60))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(IfMalformed):
        assert parse(text).lists
