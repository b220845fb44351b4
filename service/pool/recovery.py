"""What becomes of the pictures that a lost worker had: another worker, or the end."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from service.errors import UnavailableError
from service.pool.hang_watch import SILENT
from service.pool.link import WorkerLink
from service.pool.pending import PendingPicture
from service.pool.poison import CRASH, KILL
from service.pool.waiting_room import WaitingRoom, poisoned

_SIGKILL_EXIT = -9


def worth_another_worker(
    pictures: Sequence[PendingPicture], link: WorkerLink, reason: str, room: WaitingRoom
) -> list[PendingPicture]:
    """Return the pictures that deserve another worker; the requests of the others are answered.

    Args:
        pictures: that the worker had and did not answer.
        link, reason: the worker, and what it was lost for.
        room: knows which pictures are suspect.
    """
    _suspect(pictures, link, reason, room)
    return [picture for picture in pictures if _may_run_again(picture, reason, room)]


def lost() -> UnavailableError:
    """Return what is told when a worker takes a request with it."""
    return UnavailableError("the worker stopped under this request; send it again", retry_after_s=1)


def _suspect(
    pictures: Iterable[PendingPicture], link: WorkerLink, reason: str, room: WaitingRoom
) -> None:
    """Note under which pictures a worker was lost, the same bytes once."""
    if reason in ("canary", "stopped"):
        return
    # Killed or halted from outside is possible; a crash and a batch without end are its own.
    is_killed = reason == "died" and link.exit_code == _SIGKILL_EXIT
    is_outside = reason == SILENT or (is_killed and not link.was_oom_killed)
    guilt = KILL if is_outside else CRASH
    room.suspect(pictures, guilt, time.monotonic())


def _may_run_again(picture: PendingPicture, reason: str, room: WaitingRoom) -> bool:
    request = picture.request
    if request.is_over:
        return False
    if reason == "stopped":
        request.fail(UnavailableError("the server stopped; send the request again"))
        return False
    if room.is_poison(picture, time.monotonic()):
        source = request.job.pictures[picture.index]
        request.fail(poisoned(source, picture.index))
        return False
    picture.num_deaths += 1
    if picture.num_deaths > 1:
        request.fail(lost())
        return False
    return True
