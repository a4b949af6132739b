"""A small HTTP server base: keep-alive, counters, faults, JSON.

Subclasses give `route(method, path)`, called after the counters; they answer with `reply`. The
body is read by whoever wants it, in pieces, so that a connection can die in the middle of one.
"""
import json
import socket
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    site = None  # set by `serve`
    server_name = ""

    def log_message(self, *args):
        pass

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def parts(self):
        url = urlsplit(self.path)
        return unquote(url.path), {k: v[0] for k, v in parse_qs(url.query).items()}

    def body_pieces(self, most=None):
        """The request's body piece by piece; ends early after `most` bytes."""
        left = int(self.headers.get("Content-Length") or 0)
        if "chunked" in (self.headers.get("Transfer-Encoding") or ""):
            yield from self._chunks()
            return
        if most is not None:
            left = min(left, most)
        while left > 0:
            data = self.rfile.read(min(left, 1 << 16))
            if not data:
                raise ConnectionError("the client went away")
            left -= len(data)
            yield data

    def _chunks(self):
        while True:
            size = int(self.rfile.readline().split(b";")[0], 16)
            if size:
                yield self.rfile.read(size)
            self.rfile.readline()
            if size == 0:
                return

    def body(self):
        return b"".join(self.body_pieces())

    def reply(self, status, data=b"", headers=(), content_type="application/json"):
        if isinstance(data, (dict, list)):
            data = json.dumps(data).encode() + b"\n"
        self.send_response(status)
        for key, value in headers:
            self.send_header(key, value)
        if data:
            self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if data and self.command != "HEAD":
            self.wfile.write(data)

    def hung_up(self):
        """Has the client gone that waits for the answer?"""
        try:
            return self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def die(self):
        """Cuts the connection without a word."""
        self.close_connection = True
        try:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def counted(self, path):
        return self.command

    def handle_any(self):
        path, self.query = self.parts()
        self.most, self.cut_after = None, False
        name = "%s.%s" % (self.server_name, self.counted(path))
        struck = self.site.desk.note(name)
        self.site.desk.tell(name, path, struck, "")
        for fault in struck:
            effect = fault["effect"]
            if effect == "latency":
                time.sleep(fault.get("ms", 100) / 1000)
            elif effect == "http":
                self.body()
                extra = [("Retry-After", str(fault["retry_after"]))] \
                    if "retry_after" in fault else []
                return self.reply(fault.get("http", 503), b"", extra)
            elif effect == "die":
                self.most = fault.get("bytes", 0)
            elif effect == "drop-before":
                return self.die()
            elif effect == "drop-after":
                self.cut_after = True
        if self.cut_after:
            real, self.reply = self.reply, lambda *a, **k: None
            self.route(self.command, path)
            self.reply = real
            return self.die()
        return self.route(self.command, path)

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = handle_any


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request, client_address):
        pass


def serve(handler, name, site):
    """Starts a server for this handler class on a private port; returns the port."""
    import threading
    kind = type(handler.__name__, (handler,), {"site": site, "server_name": name})
    server = Server(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]
