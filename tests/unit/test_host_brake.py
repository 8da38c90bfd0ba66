"""The pace of sign-ins at one host, and when they stop."""

import random
from itertools import pairwise

import pytest

from email_accounts.models.host_brake import HostBrake, Pace, Reply, machine_of, pace_of

NOW = 1_790_000_000.0
SMALL, BIG = pace_of("mail.reach.example"), pace_of("smtp.gmail.com")


def after(*replies: Reply, pace: Pace = SMALL) -> HostBrake:
    """Return a brake after attempts that ended like this."""
    brake = HostBrake()
    for number, reply in enumerate(replies):
        now = NOW + number
        brake, admission = brake.enter(str(number), now, pace)
        assert not admission.closed
        brake = brake.leave(str(number), reply, now, pace)
    return HostBrake.loaded(brake.dumped())


def is_closed(brake: HostBrake, now: float = NOW + 60) -> bool:
    """Say whether no attempt may begin."""
    return bool(brake.enter("next", now, SMALL)[1].closed)


@pytest.mark.parametrize("host", ["imap.gmail.com", "smtp.office365.com", "imappro.zoho.eu"])
def test_known_providers_take_more(host: str) -> None:
    """Ten at once, a tenth of a second apart; a server of somebody's own two, half a second."""
    assert pace_of(host) == Pace(10, 0.1, 50)
    assert pace_of(f"{host}.reach.example") == SMALL == Pace(2, 0.5, 3)


@pytest.mark.parametrize(
    ("hosts", "machines"),
    [
        (("smtp.reach.example", "imap.reach.example"), {"93.184.216.34"}),
        (("smtp.titan.email", "imap.titan.email"), {"Titan"}),
        (("smtp.gmail.com", "imap.gmail.com"), {"smtp.gmail.com", "imap.gmail.com"}),
    ],
)
def test_what_counts_together(hosts: tuple[str, ...], machines: set[str]) -> None:
    """An address; a known provider, whose names have many; each host of a big one."""
    addresses = ["93.184.216.35", "93.184.216.34", "2606:2800:220:1::1"]
    told = [machine_of(host, some) for host in hosts for some in (addresses, addresses[1:])]
    assert {machine for machine, _ in told} == machines
    assert all(pace_of(machine) == pace_of(host) for host in hosts for machine in machines)


@pytest.mark.parametrize(("pace", "most"), [(SMALL, 3), (BIG, 50)])
def test_refusals_in_a_row_close_a_host(pace: Pace, most: int) -> None:
    """Not earlier, and one that signs in ends the row."""
    refused = [Reply.REFUSED] * most
    assert is_closed(after(*refused, pace=pace))
    assert not is_closed(after(*refused[1:], pace=pace))
    assert not is_closed(after(*refused[1:], Reply.SIGNED_IN, Reply.REFUSED, pace=pace))
    assert is_closed(after(*refused[1:], Reply.OTHER, Reply.REFUSED, pace=pace))


def test_silence_and_later_close_a_host() -> None:
    """Three attempts without an answer, one that asks to try later."""
    assert is_closed(after(Reply.SILENT, Reply.SILENT, Reply.SILENT))
    assert not is_closed(after(Reply.SILENT, Reply.REFUSED, Reply.SILENT, Reply.SILENT))
    assert is_closed(after(Reply.LATER))


def test_a_host_opens_again() -> None:
    """A quarter of an hour after the last refusal."""
    closed = after(Reply.LATER)
    assert is_closed(closed, NOW + 899)
    assert not is_closed(closed, NOW + 901)


def test_an_attempt_whose_process_died_is_over_in_time() -> None:
    """It would count as under way forever."""
    brake = HostBrake()
    for number in range(2):
        brake, _ = brake.enter(str(number), NOW + number, SMALL)
    assert brake.enter("next", NOW + 5, SMALL)[1].wait
    assert not brake.enter("next", NOW + 40, SMALL)[1].wait


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("pace", [SMALL, BIG])
def test_whoever_comes_when(seed: int, pace: Pace) -> None:
    """No more at once, no two closer together, no more refusals than allowed."""
    chance = random.Random(seed)  # noqa: S311  plays, hides nothing
    brake, now, running, began, refused = HostBrake(), NOW, list[str](), list[float](), 0
    for number in range(2000):
        now += chance.random() * pace.pause
        if running and chance.random() < 0.4:
            attempt = running.pop(chance.randrange(len(running)))
            brake = brake.leave(attempt, Reply.REFUSED, now, pace)
            refused += 1
        else:
            brake, admission = brake.enter(str(number), now, pace)
            if not admission.wait and not admission.closed:
                running.append(str(number))
                began.append(now)
        assert len(running) <= pace.at_once
    assert all(b - a >= pace.pause - 1e-6 for a, b in pairwise(began))
    assert refused < pace.most_refused + pace.at_once
