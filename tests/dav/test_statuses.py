"""Every error that tgdav raises on purpose has an answer, and the answer tells nothing."""

import inspect
from xml.etree import ElementTree

import pytest

from tgdav import errors
from tgdav.dav.statuses import TABLE, HttpError, answer, content

RAISED = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.TgdavError)
]


@pytest.mark.parametrize("kind", RAISED, ids=lambda kind: kind.__name__)
def test_the_client_learns_who_has_to_act_and_no_more(kind):
    told = answer(kind("secret/name.txt"))
    family = 400 if issubclass(kind, errors.Refused) else 500
    if kind in (errors.QuotaExceeded, errors.TgdavError):
        family = 500
    assert family <= told.status < family + 100
    _, body = content(told, lambda path: "/" + "/".join(path))
    assert b"secret" not in body


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.NotFound("x"), 404),
        (errors.ParentMissing("x"), 409),
        (errors.NotAFile("x"), 405),
        (errors.NameRefused("x"), 400),
        (errors.PreconditionFailed("x"), 412),
        (errors.QuotaExceeded("x"), 507),
        (errors.DiskFull("x"), 507),
        (errors.StagingFull("x"), 503),
        (errors.BodyIncomplete("x"), 400),
        (errors.ReplicaMissing("x"), 503),
        (errors.BlockDamaged("x"), 500),
        (ZeroDivisionError("x"), 500),
    ],
    ids=lambda value: type(value).__name__,
)
def test_statuses(error, status):
    assert answer(error).status == status


def test_busy_says_when_to_come_back_in_whole_seconds():
    assert answer(errors.Busy("x", 2.3)).headers == (("Retry-After", "3"),)
    assert answer(errors.StoreError("x")).headers == (("Retry-After", "30"),)


def test_a_lock_in_the_way_is_named_by_its_href():
    kind, body = content(answer(errors.Locked("x", ("a&b",))), lambda path: "/dav/" + path[0])
    assert kind.startswith("application/xml")
    root = ElementTree.fromstring(body)
    assert root.find("{DAV:}lock-token-submitted/{DAV:}href").text == "/dav/a&b"


def test_an_answer_of_a_verb_stays_as_it_is():
    error = HttpError(415, "not this")
    assert answer(error) is error
    assert content(error, str) == ("text/plain; charset=utf-8", b"not this\n")


def test_no_row_is_out_of_reach():
    assert all(issubclass(kind, errors.TgdavError) for kind in TABLE)
