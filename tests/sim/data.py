"""The data servers: PUT and GET of content.

An upload's address is all it takes: the session knows who may write what, and any valid token
will do. Statuses: 200 ready (or, with asynchronous uploads, received), 400 for an empty PUT, 401
token, 412 name or etag raced away, 419 checksum, 425 still processing, 500 for an unknown or
used-up session and for the third content with one mtime, 507 quota.
"""
import itertools

import values
import web
from errors import Aborted, AlreadyExists, ChecksumMismatch, InsufficientStorage, NotFound, \
    PermissionDenied, PreconditionFailed, SimError, TooEarly
from uploads import Body
import cs3.storage.provider.v1beta1.resources_pb2 as resources

PUT_STATUS = {ChecksumMismatch: 419, NotFound: 404, PermissionDenied: 403,
              InsufficientStorage: 507, PreconditionFailed: 412, Aborted: 412,
              AlreadyExists: 412}
GET_STATUS = {NotFound: 404, PermissionDenied: 403, TooEarly: 425}


class DataHandler(web.Handler):
    provider = None
    transfers = None
    hiccup = 0  # every so many GETs one fails for no reason (the system storage's does)
    gets = itertools.count(1)

    def user(self):
        token = self.headers.get("x-access-token") or ""
        if not token and "Authorization" in self.headers:
            token = self.headers["Authorization"].removeprefix("Bearer ")
        return self.provider.people.user_of(token)

    def route(self, method, path):
        user = self.user()
        if self.server_name == "data" and self.site.mode() == "coming up":
            self.body()
            return self.reply(403)
        if path.startswith("/data-gateway"):
            target = self.transfers.get(self.headers.get("X-Reva-Transfer") or "")
            if target is None:
                self.body()
                return self.reply(401)
            path = "/data" + target.split("/data", 1)[1]
        if user is None:
            self.body()
            return self.reply(401)
        kind, _, rest = path.removeprefix("/data/").partition("/")
        if method in ("GET", "HEAD"):
            return self.get(user, kind, rest)
        if method == "PUT" and kind == "simple":
            return self.put(rest)
        if method == "PATCH" and kind == "tus":
            return self.patch(rest)
        self.body()
        return self.reply(501)

    # ---- uploads
    def receive(self, body):
        """All bytes into body; False when the connection died on the way."""
        for piece in self.body_pieces(self.most):
            body.write(piece)
        if self.most is not None and body.size < int(self.headers.get("Content-Length") or 0):
            self.die()
            return False
        return True

    def put(self, sid):
        uploads = self.provider.uploads
        if self.headers.get("Content-Length") == "0":
            return self.reply(400)
        session = uploads.sessions.get(sid)
        body = session.body if session and session.body else Body(uploads.folder)
        start = body.size
        if session is None or session.used:
            self.body()
            return self.reply(500)
        session.body = body  # a second PUT is appended to what the first one left
        try:
            whole = self.receive(body)
        except ConnectionError:
            return self.die()
        if not whole:
            return None
        if "Content-Length" in self.headers \
                and body.size - start != int(self.headers["Content-Length"]):
            return self.reply(206)
        if session.chunk:
            uploads.sessions.pop(sid, None)
            return self.reply(206)
        return self.finish(session, body)

    def finish(self, session, body):
        try:
            node = self.provider.uploads.finish(session, body)
        except SimError as e:
            return self.reply(PUT_STATUS.get(type(e), 500))
        session.used = True
        etag = values.etag(node.id, session.mtime)
        text = values.id_text(self.provider.store.storage_id, node.space.id, node.id)
        return self.reply(200, b"", [("Etag", etag), ("Oc-Etag", etag), ("Oc-Fileid", text),
                                     ("Last-Modified", values.http_time(session.mtime))])

    def patch(self, sid):
        """tus: the checksum that the client announced is dropped without a word."""
        uploads = self.provider.uploads
        session = uploads.sessions.get(sid)
        if session is None:
            self.body()
            return self.reply(404)
        session.body = session.body or Body(uploads.folder)
        if int(self.headers.get("Upload-Offset") or -1) != session.body.size:
            self.body()
            return self.reply(409)
        try:
            if not self.receive(session.body):
                return None
        except ConnectionError:
            return self.die()
        offset = ("Upload-Offset", str(session.body.size))
        if session.body.size < session.length:
            return self.reply(204, b"", [offset, ("Tus-Resumable", "1.0.0")])
        session.meta.pop("checksum", None)
        try:
            uploads.finish(session, session.body)
        except SimError as e:
            return self.reply(PUT_STATUS.get(type(e), 500))
        return self.reply(204, b"", [offset, ("Tus-Resumable", "1.0.0")])

    # ---- downloads
    def get(self, user, kind, rest):
        if kind != "spaces" or self.hiccup and next(self.gets) % self.hiccup == 0:
            return self.reply(500)
        text, _, path = rest.partition("/")
        storage, _, tail = text.partition("$")
        space, _, opaque = tail.partition("!")
        rid = resources.ResourceId(storage_id=storage, space_id=space, opaque_id=opaque)
        ref = resources.Reference(resource_id=rid, path="./" + path if path else ".")
        provider = self.provider
        try:
            with provider.store.lock:
                place = provider.store.find(ref)
            body, size, etag, stamp, node = provider.uploads.download(
                user, place, opaque, values.ref_text(ref))
        except SimError as e:
            return self.reply(GET_STATUS.get(type(e), 500))
        start, end, status = 0, size, 200
        headers = [("Etag", etag), ("Oc-Etag", etag), ("Accept-Ranges", "bytes"),
                   ("Last-Modified", values.http_time(stamp)),
                   ("Oc-Fileid", values.id_text(storage, space, node.id))]
        wanted = self.headers.get("Range", "")
        if wanted.startswith("bytes="):
            first, _, last = wanted[6:].partition("-")
            start = int(first) if first else max(0, size - int(last))
            end = min(size, int(last) + 1) if first and last else size
            status = 206
            headers.append(("Content-Range", "bytes %d-%d/%d" % (start, end - 1, size)))
        if self.headers.get("If-None-Match") == etag:
            return self.reply(304, b"", headers)
        data = body.read(start, end - start) if body is not None else b""
        if self.most is not None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[:self.most])
            return self.die()
        return self.reply(status, data, headers, "application/octet-stream")
