"""
A TCP proxy between capture and a database that knows where a binlog event ends.

It passes bytes on in both directions and looks at them: a client's packet with sequence number 0
is a command, and behind COM_BINLOG_DUMP or COM_BINLOG_DUMP_GTID each packet of the server is one
event. Before an event goes through, `decide` is asked: None lets it pass; "behind" closes the
connection when the event has gone through; "inside" in the middle of its bytes; "hold" behind it
too, but nothing is closed: the line stands still, and `held` is set.

Only plain connections (no TLS), which is what the tests configure.
"""

import re
import socket
import threading
from collections import namedtuple

ROTATE, HEARTBEATS = 4, (27, 41)
DUMPS = (0x12, 0x1e)
LONGEST = 0xffffff  # a packet of this length goes on in the next one

# end: of the event in its file; 0 for one that the server makes up for this connection
Event = namedtuple("Event", "file type end size")


class Closed(Exception):
    pass


def read(sock, n):
    data = bytearray()
    while len(data) < n:
        part = sock.recv(n - len(data))
        if not part:
            raise Closed
        data += part
    return bytes(data)


def read_packet(sock):
    head = read(sock, 4)
    return head, read(sock, int.from_bytes(head[:3], "little"))


class Line:
    """One connection and its two directions."""

    def __init__(self, proxy, client):
        self.proxy, self.client = proxy, client
        self.server = socket.create_connection((proxy.host, proxy.port), 10)
        self.server.settimeout(None)
        for sock in (client, self.server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.dumping, self.file = False, ""

    def to_server(self):
        try:
            while True:
                head, body = read_packet(self.client)
                if head[3] == 0 and body and body[0] in DUMPS:
                    self.dumping = True
                self.server.sendall(head + body)
        except (Closed, OSError):
            self.close()

    def to_client(self):
        try:
            while True:
                head, body = read_packet(self.server)
                if self.dumping and body[:1] == b"\0" and len(body) > 19:
                    self.event(head, body)
                else:
                    self.client.sendall(head + body)
        except (Closed, OSError):
            self.close()

    def event(self, head, body):
        kind, end = body[5], int.from_bytes(body[14:18], "little")
        if kind == ROTATE:
            name = re.search(rb"mysql-bin\.\d+", body)
            if name and not end:
                self.file = name.group().decode()
        event = Event(self.file, kind, end, len(body) - 1)
        verdict = None if kind in HEARTBEATS else self.proxy.decide(event)
        if verdict == "inside":
            self.client.sendall((head + body)[:len(body) // 2])
            raise Closed
        self.client.sendall(head + body)
        while len(body) == LONGEST:
            head, body = read_packet(self.server)
            self.client.sendall(head + body)
        if verdict == "behind":
            raise Closed
        if verdict == "hold":
            self.proxy.held.set()
            self.proxy.free.wait()

    def close(self):
        for sock in (self.client, self.server):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()


class Proxy:
    def __init__(self, host, port):
        self.host, self.port = host, port
        self.decide = lambda event: None
        self.held, self.free = threading.Event(), threading.Event()
        self.lines = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listen_port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                line = Line(self, client)
            except OSError:
                client.close()
                continue
            self.lines.append(line)
            for way in (line.to_server, line.to_client):
                threading.Thread(target=way, daemon=True).start()

    def release(self):
        """Ends what is held, so that the next hold can be waited for."""
        self.held.clear()
        free, self.free = self.free, threading.Event()
        free.set()

    def close(self):
        self.listener.close()
        self.release()
        for line in self.lines:
            line.close()
