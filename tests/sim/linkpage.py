"""A public link from outside: GET /s/<token>?password=... on a port of its own.

200 with the link and what it leads to as JSON (a file's content with &download=1), 401 for a
wrong or missing password, 404 for a token that is unknown, has expired, or whose node is gone.
"""
import cs3.rpc.v1beta1.code_pb2 as code
import web
from links import shown



class LinkHandler(web.Handler):
    gateway = None

    def route(self, method, path):
        self.body()
        if not path.startswith("/s/"):
            return self.reply(404)
        link, bad = self.gateway.by_token(path[3:], self.query.get("password", ""))
        if link is None:
            return self.reply(401 if bad == code.CODE_PERMISSION_DENIED else 404)
        store = self.gateway.provider.store
        with store.lock:
            place = store.find_id(link.resource_id)
            node = place.node
            below = node
            while below is not None:  # in the trash with one of its parents
                node = None if below.trashed else node
                below = below.parent
            if node is None:
                return self.reply(404)
            if self.query.get("download") and not node.folder:
                data = node.blob.read() if node.blob else b""
                return self.reply(200, data, (), "application/octet-stream")
            names = sorted(node.children) if node.folder else None
            out = {"link": shown(link), "name": node.name, "children": names,
                   "size": node.weight(), "sha1": (node.sums or {}).get("sha1")}
        return self.reply(200, out)


