"""Harm by clients: damaged pictures, clients that leave, and requests that are none."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

from chaos_server import Harm, Row, still_serves
from malformed_requests import head, malformed_request
from serving import Server
from steady_load import HUNG_S, Client, Picture

_LINE_S = 20.0
_SENDERS = 8


def damaged(harm: Harm) -> Row:
    """Pictures that are cut off or spoilt: their own fault, and nobody else's."""
    draw = random.Random(1)
    codes: Counter[str] = Counter()
    with harm.server() as server, harm.load(server) as load:
        row = Row(scenario="damaged pictures", tally=load.tally, injected=20 * harm.num_faults)
        client = Client(server.url, load.tally, threading.Lock())
        for number in range(row.injected):
            good = draw.choice(harm.pictures)
            spoilt = Picture(data=_spoilt(good.data, draw), width=good.width, height=good.height)
            allowed = frozenset({200, 400, 413, 415, 422})
            code = client.post(spoilt, f"damaged-{number}", "/segment", allowed)
            codes[str(code)] += 1
        client.close()
        load.stop()
        row.others = dict(sorted(codes.items()))
        row.notes += still_serves(server, load.tally)
        # A spoilt size is another picture's size: that is no mix-up.
        load.tally.wrong[:] = [w for w in load.tally.wrong if not w.startswith("damaged-")]
    return row


def vanishing(harm: Harm) -> Row:
    """Clients that leave in the middle of their upload, or while they wait."""
    draw = random.Random(2)
    with harm.server() as server, harm.load(server) as load:
        row = Row(scenario="clients that leave", tally=load.tally, injected=40 * harm.num_faults)
        for number in range(row.injected):
            data = draw.choice(harm.pictures).data
            start = head("POST /segment", data, "Content-Type: image/jpeg")
            whole = start + data
            part = whole if number % 2 else whole[: draw.randrange(1, len(whole))]
            with _connected(server) as sock:
                sock.sendall(part)
                if draw.random() < 0.5:  # leave with a reset, not a goodbye
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            time.sleep(0.02)
        load.stop()
        row.notes += still_serves(server, load.tally)
    return row


def malformed(harm: Harm) -> Row:
    """Requests that are wrong in every way: refused, never a 5xx, never left waiting."""
    answers: Counter[str] = Counter()
    lock = threading.Lock()
    with harm.server() as server, harm.load(server) as load:
        row = Row(scenario="malformed requests", tally=load.tally, injected=harm.num_malformed)

        def send(first: int) -> None:
            for number in range(first, harm.num_malformed, _SENDERS):
                what, data = malformed_request(number)
                answer = _answer_to(server, data)
                with lock:
                    answers[answer] += 1
                    if answer.startswith("5") or answer == "hung":
                        row.notes.append(f"malformed {number} ({what}): {answer}")

        senders = [threading.Thread(target=send, args=(n,)) for n in range(_SENDERS)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        load.stop()
        row.others = dict(sorted(answers.items()))
        row.notes += still_serves(server, load.tally)
    return row


def _spoilt(data: bytes, draw: random.Random) -> bytes:
    if draw.random() < 0.3:
        return data[: draw.randrange(len(data))]
    spoilt = bytearray(data)
    for _ in range(draw.choice((1, 4, 32))):
        spoilt[draw.randrange(len(spoilt))] = draw.randrange(256)
    return bytes(spoilt)


def _connected(server: Server) -> socket.socket:
    parts = urlsplit(server.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=HUNG_S)


def _answer_to(server: Server, data: bytes) -> str:
    """Return the code of the answer, or "closed" or "hung"."""
    with _connected(server) as sock:
        sock.settimeout(_LINE_S)
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            line = sock.recv(4096)
        except TimeoutError:
            return "hung"
        except OSError:
            return "closed"
    return line[9:12].decode("latin-1") if line.startswith(b"HTTP/1.") else "closed"
