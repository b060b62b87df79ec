import pytest
from hypothesis import given
from hypothesis import strategies as st

from tgdav.dav.dates import SECOND, http_date, iso_date, read_http_date, read_unix_time

FEBRUARY_NS = 1517630706 * SECOND


def test_a_time_as_headers_write_it():
    assert http_date(FEBRUARY_NS + 999_999_999) == "Sat, 03 Feb 2018 04:05:06 GMT"


def test_a_time_as_creationdate_writes_it():
    assert iso_date(FEBRUARY_NS) == "2018-02-03T04:05:06Z"


def test_times_before_1970_are_rounded_down():
    assert http_date(-1) == "Wed, 31 Dec 1969 23:59:59 GMT"


@given(st.integers(-9_000_000_000, 9_000_000_000))
def test_what_is_written_is_read_back(second):
    assert read_http_date(http_date(second * SECOND)) == second * SECOND


def test_another_zone_is_understood():
    assert read_http_date("Sat, 03 Feb 2018 05:05:06 +0100") == FEBRUARY_NS
    assert read_http_date("Fri, 02 Feb 2018 04:06:06 -2359") == FEBRUARY_NS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        "Fri, 31 Dec 99999 23:59:59 GMT",
        "Fri, 31 Dec 2300 23:59:59 GMT",
        "Sat, 31 Feb 2018 04:05:06 GMT",
        "Sat, 03 Feb 2018 25:05:06 GMT",
        "Sat, 03 Feb 2018 04:05:06 +99999999999999",
        "Sat, 03 Feb 2018 04:05:06 -99999999999999",
        "Sat, 03 Feb 2018 04:05:06 +2400",
        "\xff\xfe",
    ],
)
def test_dates_of_no_calendar_are_none(text):
    assert read_http_date(text) is None


@given(st.text(max_size=40))
def test_no_text_makes_reading_a_date_fail(text):
    read_http_date(text)
    read_unix_time(text)


@pytest.mark.parametrize(
    ("text", "at_ns"),
    [
        ("1557126489", 1557126489 * SECOND),
        (" 1557126489.5 ", 1557126489 * SECOND + SECOND // 2),
        ("-86400", -86400 * SECOND),
        ("1" + "0" * 30, None),
        ("1e999999999", None),
        ("NaN", None),
        ("Infinity", None),
        ("garbage", None),
        ("", None),
    ],
)
def test_seconds_since_1970(text, at_ns):
    assert read_unix_time(text) == at_ns
