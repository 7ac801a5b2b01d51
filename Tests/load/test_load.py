"""The load programs at a size for every day; `make test-load` runs them whole."""
import bodies
import crowd
import idle
import slow
import soak


def test_a_crowd_gets_answers_or_is_told_when_to_come_back():
    crowd.run(clients=200, rounds=2)


def test_slow_senders_are_cut_at_their_deadline():
    # How quick the others are served is for a machine that does nothing else.
    slow.run(count=60, seconds=2, most=1)


def test_long_json_bodies_stay_within_memory():
    bodies.run(count=3, seconds=3, most=1)


def test_an_idle_daemon_sleeps():
    seen, _, _ = idle.quiet(seconds=4)
    assert not seen, seen


def test_it_wakes_for_the_watchdog_alone():
    seen, told, _ = idle.quiet(seconds=4, watchdog=2)
    assert told >= 3 and sum(seen.values()) <= told + 1, (told, seen)


def test_it_sleeps_again_after_work():
    seen, _ = idle.quiet_after_work(seconds=3)
    assert not seen, seen


def test_a_line_through_points():
    slope, error = soak.line([(0, 1), (1, 3), (2, 5), (3, 7)])
    assert abs(slope - 2) < 1e-9 and error < 1e-9
