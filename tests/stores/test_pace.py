from hypothesis import given
from hypothesis import strategies as st

from tgdav.stores.pace import Pace


@given(
    most=st.integers(1, 10),
    pauses=st.lists(st.floats(0, 30), max_size=60),
)
def test_never_more_than_the_most_within_the_span(most: int, pauses: list[float]):
    now = [1000.0]
    pace = Pace(most, 60.0, lambda: now[0])
    sent: list[float] = []
    for pause in pauses:
        now[0] += pause
        now[0] += pace.wait_s()
        assert pace.wait_s() < 1e-6
        pace.count()
        sent.append(now[0])
        assert len([at for at in sent if at > now[0] - 59.999]) <= most


def test_it_waits_no_longer_than_it_has_to():
    now = [0.0]
    pace = Pace(2, 60.0, lambda: now[0])
    for at in (0.0, 10.0):
        now[0] = at
        assert pace.wait_s() == 0
        pace.count()
    assert pace.wait_s() == 50.0
    now[0] = 60.0
    assert pace.wait_s() == 0
