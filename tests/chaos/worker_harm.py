"""Harm to workers: killed, stopped, hanging, out of memory, by signals and by pictures."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter

import faulty_worker
from chaos_server import Harm, Row, still_serves, until_replaced, worker_pids
from serving import Server
from steady_load import Client, Picture, plain_picture


def killed(harm: Harm) -> Row:
    """kill -9, as the kernel does when memory runs out."""
    return _signalled(harm, "kill -9 of a worker", signal.SIGKILL, harm.num_kills)


def stopped(harm: Harm) -> Row:
    """A worker that shows no sign of life."""
    return _signalled(
        harm,
        "SIGSTOP of a worker",
        signal.SIGSTOP,
        harm.num_faults,
        "--heartbeat-timeout-s",
        "1.5",
    )


def _signalled(harm: Harm, name: str, number: signal.Signals, times: int, *flags: str) -> Row:
    draw = random.Random(0)
    with harm.server(*flags) as server, harm.load(server) as load:
        row = Row(scenario=name, tally=load.tally, injected=times)
        for _ in range(times):
            time.sleep(draw.uniform(0.2, 0.6))
            pids = worker_pids(server)
            for pid in pids:
                os.kill(pid, number)
            row.ready_s.append(until_replaced(server, pids))
        time.sleep(1)
        load.stop()
        row.notes += still_serves(server, load.tally)
    return row


def reloaded(harm: Harm) -> Row:
    """Weights loaded anew, every other time with a worker killed meanwhile."""
    draw = random.Random(0)
    with harm.server() as server, harm.load(server) as load:
        row = Row(scenario="reload, with and without kill -9", tally=load.tally)
        row.injected = 2 * harm.num_faults
        for number in range(row.injected):
            time.sleep(draw.uniform(0.2, 0.6))
            pids = worker_pids(server)
            server.process.send_signal(signal.SIGHUP)
            if number % 2:
                time.sleep(draw.uniform(0.0, 4.0))
                for pid in set(pids) & set(worker_pids(server)):
                    os.kill(pid, signal.SIGKILL)
            row.ready_s.append(until_replaced(server, pids))
        time.sleep(1)
        load.stop()
        row.notes += still_serves(server, load.tally)
        if (number := _num_workers_in_the_end(server)) != 1:
            row.notes.append(f"{number} workers in the end")
    return row


def _num_workers_in_the_end(server: Server) -> int:
    """Return how many there are, once those that were told to end have had the time to."""
    latest = time.monotonic() + 10
    while len(worker_pids(server)) != 1 and time.monotonic() < latest:
        time.sleep(0.1)
    return len(worker_pids(server))


def hanging(harm: Harm) -> Row:
    """A forward pass that never ends, in company."""
    return _poisoned(harm, "a forward pass that never ends", faulty_worker.HANG)


def crashing(harm: Harm) -> Row:
    """A picture under which the process ends."""
    return _poisoned(harm, "a picture that ends the worker", faulty_worker.EXIT)


def segfaulting(harm: Harm) -> Row:
    """A picture that makes a library write where it must not."""
    return _poisoned(harm, "a picture that makes it crash (SIGSEGV)", faulty_worker.SEGV)


def _poisoned(harm: Harm, name: str, colour: tuple[int, int, int]) -> Row:
    """Pictures that end workers: refused in the end, the same one at once when it comes again."""
    return _by_pictures(
        harm,
        name,
        # Each another one to the server, which knows them by their bytes.
        [plain_picture(colour, 96 + n, 64) for n in range(harm.num_faults)],
        first={422, 503},
        again={422},
        flags=("--hang-s", "2"),
    )


def out_of_memory(harm: Harm) -> Row:
    """Too large for the device, even alone: that picture's request is told so."""
    return _by_pictures(
        harm,
        "out of memory, even alone",
        [plain_picture(faulty_worker.OUT_OF_MEMORY, 97, 67)] * harm.num_faults,
        first={413},
        again={413},
    )


def really_out_of_memory(harm: Harm) -> Row:
    """The allocator itself refuses."""
    return _by_pictures(
        harm,
        "an allocation of 2^50 bytes",
        [plain_picture(faulty_worker.REALLY_OUT_OF_MEMORY, 97, 67)] * harm.num_faults,
        first={413},
        again={413},
    )


def out_of_memory_in_company(harm: Harm) -> Row:
    """A batch that does not fit is split until it does."""
    return _by_pictures(
        harm,
        "out of memory in company only",
        [plain_picture(faulty_worker.OUT_OF_MEMORY_IN_COMPANY, 97, 67)] * harm.num_faults,
        first={200},
        again={200},
        at_once=4,
    )


def defective(harm: Harm) -> Row:
    """An exception nobody foresaw: 500 for that picture, and nobody else notices."""
    return _by_pictures(
        harm,
        "an unforeseen exception (500 for its own)",
        [plain_picture(faulty_worker.DEFECT, 97, 67)] * harm.num_faults,
        first={500},
        again={500},
    )


def _by_pictures(
    harm: Harm,
    name: str,
    pictures: list[Picture],
    *,
    first: set[int],
    again: set[int],
    flags: tuple[str, ...] = (),
    at_once: int = 1,
) -> Row:
    """Send pictures that do harm into a steady load, then the first of them once more.

    Args:
        first, again: codes that they may be answered with.
        at_once: copies sent at the same time.
    """
    codes: Counter[int] = Counter()
    with harm.server(*flags) as server, harm.load(server) as load:
        row = Row(scenario=name, tally=load.tally, injected=len(pictures))
        lock = threading.Lock()

        def send(picture: Picture, name: str, allowed: set[int]) -> None:
            client = Client(server.url, load.tally, lock)
            code = client.post(picture, name, allowed=frozenset(allowed))
            client.close()
            if code is not None:
                codes[code] += 1

        for number, picture in enumerate(pictures):
            pids = worker_pids(server)
            senders = [
                threading.Thread(target=send, args=(picture, f"harm-{number}-{copy}", first))
                for copy in range(at_once)
            ]
            for sender in senders:
                sender.start()
            for sender in senders:
                sender.join()
            if set(worker_pids(server)) != set(pids):
                row.ready_s.append(until_replaced(server, pids))
            time.sleep(0.3)
        send(pictures[0], "harm-again", again)
        load.stop()
        row.others = {str(code): number for code, number in sorted(codes.items())}
        row.notes += [note for note in still_serves(server, load.tally) if first != {500}]
    return row
