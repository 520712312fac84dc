"""One end of a TCP connection on which both ends send a numbered line every 100 ms.

`talk.py listen ADDRESS` waits for the other end; `talk.py call ADDRESS` is the other end, and ends the
conversation when it gets SIGTERM. Each prints how many lines it received, the longest time between two,
and when that ended, in milliseconds. A connection that is cut, or a line that is missing, is an error.
"""

import json
import select
import signal
import socket
import sys
import time

PORT = 7000
INTERVAL = 0.1
PATIENCE = 120

is_over = False


def end(_signal, _frame):
    global is_over
    is_over = True


def connect(role, address):
    if role == "call":
        return socket.create_connection((address, PORT), timeout=PATIENCE)
    connection, _ = socket.create_server((address, PORT)).accept()
    return connection


def talk(connection, calls):
    sent = received = longest = longest_end = 0
    speaks, rest, latest = True, b"", None
    next_line = time.monotonic()
    while True:
        now = time.monotonic()
        if speaks and is_over:
            connection.shutdown(socket.SHUT_WR)
            speaks = False
        if speaks and now >= next_line:
            connection.sendall(b"%d\n" % sent)
            sent += 1
            next_line = now + INTERVAL
        wait = max(0, next_line - now) if speaks else PATIENCE
        if not select.select([connection], [], [], wait)[0]:
            if not speaks:
                sys.exit(f"at {time.strftime('%T')}: the other end does not end the conversation")
            continue
        data = connection.recv(65536)
        if not data:
            if speaks and calls:
                sys.exit(f"at {time.strftime('%T')}: the other end ended the conversation")
            return received, longest, longest_end
        now = time.monotonic()
        if now - (latest or now) > longest:
            longest, longest_end = now - latest, time.time()
        latest = now
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if int(line) != received:
                sys.exit(f"expected line {received}, found {line}")
            received += 1


role, address = sys.argv[1:]
signal.signal(signal.SIGTERM, end)
try:
    with connect(role, address) as connection:
        received, longest, longest_end = talk(connection, role == "call")
except OSError as error:
    sys.exit(f"at {time.strftime('%T')}: {error}")
times = {"longest_ms": longest, "longest_end_ms": longest_end}
print(json.dumps({"received": received} | {key: round(s * 1000) for key, s in times.items()}))
