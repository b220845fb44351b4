from __future__ import annotations

from service.pool.poison import CRASH, KILL, PoisonList, digest_of

_DIGEST = digest_of(b"a picture")


def test_two_crashes_are_enough() -> None:
    poison = PoisonList()
    assert not poison.suspect(_DIGEST, CRASH, now=0, is_alone=True)
    assert poison.is_suspect(_DIGEST, now=1)
    assert not poison.is_refused(_DIGEST, now=1)
    assert poison.suspect(_DIGEST, CRASH, now=2, is_alone=True)
    assert poison.is_refused(_DIGEST, now=3)


def test_a_kill_from_outside_weighs_less() -> None:
    poison = PoisonList()
    for _ in range(4):
        assert not poison.suspect(_DIGEST, KILL, now=0, is_alone=True)
    assert poison.suspect(_DIGEST, KILL, now=0, is_alone=True)


def test_crashes_in_company_convict_nobody() -> None:
    poison = PoisonList()
    for _ in range(9):
        assert not poison.suspect(_DIGEST, CRASH, now=0, is_alone=False)
    assert poison.is_suspect(_DIGEST, now=1)
    assert poison.suspect(_DIGEST, CRASH, now=2, is_alone=True)


def test_an_answer_acquits() -> None:
    poison = PoisonList()
    poison.suspect(_DIGEST, CRASH, now=0, is_alone=True)
    poison.acquit(_DIGEST)
    assert not poison.is_suspect(_DIGEST, now=1)
    assert len(poison) == 0


def test_guilt_is_forgotten_after_an_hour() -> None:
    poison = PoisonList()
    poison.suspect(_DIGEST, 1.0, now=0, is_alone=True)
    assert poison.is_refused(_DIGEST, now=3599)
    assert not poison.is_refused(_DIGEST, now=3600)


def test_the_list_stays_small() -> None:
    poison = PoisonList()
    for number in range(3000):
        poison.suspect(digest_of(str(number).encode()), CRASH, now=0, is_alone=True)
    assert len(poison) == 1000
    assert poison.is_suspect(digest_of(b"2999"), now=0)
