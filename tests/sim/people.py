"""Users, groups, tokens.

A token is signed text that names the user, his groups at that moment and when it ends; it is
checked, not looked up, so that a restart of the simulator with the same key honours old tokens
as the real one does. `expire` makes all tokens given so far invalid.
"""
import base64
import hashlib
import hmac
import json
import threading
import time
import uuid

import cs3.identity.group.v1beta1.resources_pb2 as group_pb2
import cs3.identity.user.v1beta1.resources_pb2 as user_pb2
from store import User

LIFE = 86400


class Person:
    def __init__(self, name, display, mail="", enabled=None, uid=None, role=True):
        self.role = role  # one of a directory who has never signed in has none
        self.id = uid or str(uuid.uuid4())
        self.name, self.display, self.mail = name, display, mail
        self.enabled = enabled  # None: never said
        self.surname, self.password = name, None


class Group:
    def __init__(self, name, gid=None, members=()):
        self.id, self.name, self.members = gid or str(uuid.uuid4()), name, set(members)


class People:
    def __init__(self, config, idp):
        self.config, self.idp = config, idp
        self.lock = threading.RLock()
        self.users, self.groups = {}, {}
        self.not_before = 0.0
        self.read_only = False  # of a directory that Graph may not write into
        self.key = hashlib.sha256(config["machine_key"].encode()).digest()
        self.admin = self.add(Person("admin", "Admin", "admin@example.org"))

    def add(self, person):
        self.users[person.id] = person
        return person

    def by_name(self, name):
        low = name.lower()
        return next((u for u in self.users.values() if u.name.lower() == low), None)

    def by_id(self, key):
        """A directory finds its ids whatever the case."""
        low = key.lower()
        return self.users.get(key) or next(
            (u for u in self.users.values() if u.id.lower() == low), None)

    def group_by_id(self, key):
        low = key.lower()
        return self.groups.get(key) or next(
            (g for g in self.groups.values() if g.id.lower() == low), None)

    def group_by_name(self, name):
        low = name.lower()
        return next((g for g in self.groups.values() if g.name.lower() == low), None)

    def groups_of(self, uid):
        with self.lock:
            return [g.id for g in self.groups.values() if uid in g.members]

    # ---- tokens
    def token(self, uid, groups, service=False, admin=False):
        body = json.dumps([uid, groups, service, admin, time.time() + LIFE, time.time()])
        text = base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")
        return text + "." + hmac.new(self.key, text.encode(), "sha256").hexdigest()

    def user_of(self, token):
        """The caller, or None when the token is no good."""
        text, _, mark = (token or "").partition(".")
        if not hmac.compare_digest(hmac.new(self.key, text.encode(), "sha256").hexdigest(), mark):
            return None
        body = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        uid, groups, service, admin, until, given = json.loads(body)
        if time.time() > until or given < self.not_before:
            return None
        person = self.users.get(uid)
        user = User(uid, person.name if person else "", groups, service)
        user.admin = admin or uid == self.admin.id
        return user

    def expire(self):
        self.not_before = time.time()

    # ---- sign-in: (token, user message), or the text of the NOT_FOUND
    def sign_in(self, client):
        with self.lock:
            kind, _, value = client.partition(":")
            if kind in ("userid", "username", "mail") and _:
                person = self.by_id(value) if kind == "userid" else self.by_name(value)
            else:
                kind, value = "username", client
                person = self.by_name(client)
            if person is None or person.enabled is False:
                return None, "user not found %s %s" % (kind, value)
            groups = self.groups_of(person.id)
            return self.token(person.id, groups), self.message(person, groups)

    def user_id(self, uid):
        return user_pb2.UserId(idp=self.idp, opaque_id=uid, type=user_pb2.USER_TYPE_PRIMARY)

    def message(self, person, groups):
        return user_pb2.User(id=self.user_id(person.id), username=person.name, mail=person.mail,
                             display_name=person.display, groups=groups, uid_number=99,
                             gid_number=99)

    def group_message(self, group):
        return group_pb2.Group(
            id=group_pb2.GroupId(idp=self.idp, opaque_id=group.id), group_name=group.name,
            display_name=group.name, members=[self.user_id(u) for u in group.members])
