"""A TCP front before every public port.

The servers themselves listen on private ports. Standing in between, one asyncio thread can do
what no server library offers: refuse connections (`down`), and cut the one connection on which
a certain call is travelling (`cut`), before or after the call had its effect.
"""
import asyncio
import socket
import threading


class Half(asyncio.Protocol):
    """One side of a forwarded connection."""

    def __init__(self, other=None):
        self.other, self.transport, self.waiting = other, None, []

    def connection_made(self, transport):
        self.transport = transport
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for data in self.waiting:
            transport.write(data)
        self.waiting = []

    def data_received(self, data):
        if self.other.transport is None:
            self.other.waiting.append(data)
        else:
            self.other.transport.write(data)

    def pause_writing(self):
        if self.other.transport:
            self.other.transport.pause_reading()

    def resume_writing(self):
        if self.other.transport:
            self.other.transport.resume_reading()

    def connection_lost(self, exc):
        if self.other and self.other.transport:
            self.other.transport.close()


class Inner(Half):
    """The side towards the server. Known by both its ports before the server can have read from it: a
    call is to find the connection on which it came. One port alone is not enough: connections to two
    servers may have the same one at this end."""

    def __init__(self, outer, pairs):
        super().__init__(outer)
        self.pairs, self.ends = pairs, None

    def connection_made(self, transport):
        self.ends = tuple(transport.get_extra_info(end)[1] for end in ("peername", "sockname"))
        self.pairs[self.ends] = self.other
        super().connection_made(transport)

    def connection_lost(self, exc):
        self.pairs.pop(self.ends, None)
        super().connection_lost(exc)


class Front:
    def __init__(self, host="127.0.0.1"):
        self.host = host
        self.loop = asyncio.new_event_loop()
        self.ports = {}  # name -> (public, private)
        self.servers = {}
        self.pairs = {}  # (the server's port, the inner connection's own) -> outer Half
        self.outer = {}  # name -> set of outer halves
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def add(self, name, public, private):
        """Opens the public port (0: a free one) and returns its number."""
        self.ports[name] = (public, private)
        self.outer[name] = set()
        self._run(self._open(name))
        return self.ports[name][0]

    async def _open(self, name):
        public, private = self.ports[name]
        server = await self.loop.create_server(lambda: self._outer(name), self.host, public,
                                               backlog=512)
        self.servers[name] = server
        self.ports[name] = (server.sockets[0].getsockname()[1], private)

    def _outer(self, name):
        front, private = self, self.ports[name][1]

        class Outer(Half):
            def connection_made(self, transport):
                super().connection_made(transport)
                front.outer[name].add(self)
                front.loop.create_task(self.reach())

            async def reach(self):
                try:
                    t, _ = await front.loop.create_connection(
                        lambda: self.other, "127.0.0.1", private)
                    if self.transport.is_closing():
                        t.close()
                except OSError:
                    self.transport.abort()

            def connection_lost(self, exc):
                front.outer[name].discard(self)
                super().connection_lost(exc)

        outer = Outer()
        outer.other = Inner(outer, self.pairs)
        return outer

    def cut(self, private, inner_port):
        """Cuts the connection that the server at that port knows by this one: on return nothing
        passes it."""
        async def do():
            outer = self.pairs.get((private, inner_port))  # None: its client has hung up
            if outer:
                outer.transport.abort()
        self._run(do())

    def down(self, names=None):
        async def do():
            for name in names or self.ports:
                server = self.servers.pop(name, None)
                if server:
                    server.close()
                for outer in list(self.outer[name]):
                    outer.transport.abort()
        self._run(do())

    def up(self, names=None):
        async def do():
            for name in names or self.ports:
                if name not in self.servers:
                    await self._open(name)
        self._run(do())
