"""
Systemd's side of Type=notify: a socket that hears what daemons say, and which of them says it.

    with Notify(folder) as notify:
        child = subprocess.Popen(..., env={**os.environ, **notify.env})
        notify.hear([child.pid], "READY=1")

Whoever speaks waits while nobody listens: it is to be closed when enough was heard.
"""

import socket
import struct
import time

from .process import BedError


class Notify:
    def __init__(self, folder):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(str(folder / "notify"))
        self.env = {"NOTIFY_SOCKET": str(folder / "notify")}

    def hear(self, pids, *wanted, seconds=60):
        """Listens until each of these processes has sent a message with each of these beginnings."""
        missing = {(pid, word) for pid in pids for word in wanted}
        until = time.monotonic() + seconds
        while missing:
            self.socket.settimeout(max(until - time.monotonic(), 0.001))
            try:
                text, extra, *_ = self.socket.recvmsg(4096, socket.CMSG_SPACE(12))
            except TimeoutError:
                raise BedError(f"not heard within {seconds:g} s: {missing}") from None
            pid = struct.unpack("3i", extra[0][2])[0]
            missing -= {(pid, word) for word in wanted if text.decode().startswith(word)}

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()
