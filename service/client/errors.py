"""What goes wrong for a client.

ClientError
├── RefusedError      the server, or a proxy before it, answered with an error
└── UnansweredError   no answer came before the deadline
"""

from __future__ import annotations

import json
from typing import Any

_MAX_TEXT = 200


class ClientError(Exception):
    """A picture was not answered.

    num_tries: how often it was sent. request_id: what the server's logs call the request.
    """

    def __init__(self, text: str, *, num_tries: int, request_id: str | None) -> None:
        super().__init__(text)
        self.num_tries = num_tries
        self.request_id = request_id


class UnansweredError(ClientError):
    """No answer came before the deadline; the cause is what the last try met."""


class RefusedError(ClientError):
    """The server answered with an error.

    status: of HTTP. type: the stable name of the kind of error. title: in general. detail: one
    sentence that says what to change.
    """

    def __init__(self, status: int, problem: dict[str, Any], *, num_tries: int) -> None:
        self.status = status
        self.type = str(problem.get("type", "about:blank"))
        self.title = str(problem.get("title", ""))
        self.detail = str(problem.get("detail", ""))
        said = ": ".join(part for part in (self.title, self.detail) if part)
        super().__init__(
            f"{status} {said}".strip(),
            num_tries=num_tries,
            request_id=problem.get("request_id"),
        )

    @classmethod
    def of(cls, status: int, body: bytes, *, num_tries: int) -> RefusedError:
        """Return the error that an answer tells; a proxy's may be any text."""
        try:
            problem = json.loads(body)
        except ValueError:
            problem = None
        if not isinstance(problem, dict):
            problem = {"detail": body[:_MAX_TEXT].decode("utf-8", "replace").strip()}
        return cls(status, problem, num_tries=num_tries)
