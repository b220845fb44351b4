from __future__ import annotations

import pytest
from service_fakes import FakeEngine, assert_problem, picture, post_picture

from service.errors import QueueFullError
from service.http.requests.upload_room import UploadRoom


def test_requests_share_the_room_and_give_back_what_they_held() -> None:
    room = UploadRoom(100)
    with room.hold() as first:
        first.take(60)
        with room.hold() as second, pytest.raises(QueueFullError):
            second.take(41)
        with room.hold() as second:
            second.take(40)
    assert room.num_bytes == 0


def test_full_room_is_429_that_says_when_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(picture())
    answer = post_picture(FakeEngine(), max_waiting_bytes=size, max_body_bytes=size)
    assert answer.status_code == 200
    monkeypatch.setattr("service.http.routes.UploadRoom", lambda limit: UploadRoom(size - 1))
    answer = post_picture(FakeEngine())
    assert_problem(answer, 429, "at the same time")
    assert answer.headers["retry-after"] == "1"
