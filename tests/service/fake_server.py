"""`python -m service` with a worker that needs no model: run as a script by the process tests.

It answers each picture after as many seconds as its width has hundreds of pixels.
"""

from __future__ import annotations

import sys
import time

from service_fakes import INSTANCE_MODEL

from model.image_header import read_header
from service import __main__ as program
from service.engine import Job, Picture, PictureAnswer
from service.settings import Settings


class SleepyWorker:
    model = INSTANCE_MODEL

    def warm_up(self) -> None:
        pass

    def run(self, job: Job, picture: Picture) -> PictureAnswer:
        print("started", flush=True)
        seconds = read_header(picture.data).width / 100
        time.sleep(seconds)
        return PictureAnswer(body=b"{}", seconds={"forward": seconds})


def load(settings: Settings) -> SleepyWorker:
    if settings.weights == "slow":
        time.sleep(600)
    return SleepyWorker()


if __name__ == "__main__":
    program._load = load
    sys.exit(program.main())
