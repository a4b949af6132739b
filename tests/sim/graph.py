"""Graph: users, groups, memberships, as the real one answers on its own port and by the proxy.

Signs in by x-access-token (admin or service account) or basic auth (admin). Its oddities are
kept: an empty mail is refused but a missing one is fine, a second membership is fine, users by
name are found whatever the case, a filter on the user's name is not implemented. Of a directory that
it may only read, nobody is made, changed or deleted: 405; roles are given all the same.
"""
import base64
import re
import time
from urllib.parse import unquote

import json
import web
from people import Group, Person

MAIL = re.compile(r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
                  r"(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$")
# the server deletes these users, too, but answers 404 (a filter that is not escaped)
ODD = re.compile(r'[+,)\\";<>]|^[# ]| $')


ROLE = "d7beeea8-8ff4-406b-8fb6-ab2dd81e6b11"
APPLICATION = "3f0309aa-2987-42a9-990e-075def0574e6"


class Refused(Exception):
    def __init__(self, status, kind, words):
        super().__init__(words)
        self.status, self.kind = status, kind


def invalid(words):
    return Refused(400, "invalidRequest", words)


class GraphHandler(web.Handler):
    def counted(self, path):
        parts = path.removeprefix("/graph").removeprefix("/v1.0").strip("/").split("/")
        shape = [parts[0]] + ["{id}" if i % 2 else p for i, p in enumerate(parts) if i]
        shape = ["$ref" if p == "$ref" else s for p, s in zip(parts, shape)]
        return "%s /%s" % (self.command, "/".join(shape))

    def user(self):
        people = self.site.people
        if "x-access-token" in self.headers:
            return people.user_of(self.headers["x-access-token"])
        scheme, _, rest = (self.headers.get("Authorization") or "").partition(" ")
        if scheme == "Bearer":
            return people.user_of(rest)
        if scheme == "Basic":
            name, _, password = base64.b64decode(rest).decode().partition(":")
            person = people.by_name(name)
            if person is people.admin and password == "admin" or \
                    person and person.password is not None and person.password == password \
                    and person.enabled is not False:
                return people.user_of(people.token(person.id, people.groups_of(person.id)))
        return None

    def capabilities(self):
        """What the proxy serves to everybody beside Graph."""
        password = self.site.gateway.need_password
        return {"ocs": {"data": {"capabilities": {
            "core": {"status": {"productname": "oCIS simulator", "productversion": "7.0.0"}},
            "spaces": {"max_quota": self.site.store.max_quota},
            "files_sharing": {"public": {"password": {"enforced_for": {
                "read_only": password, "read_write": password}}}}}}}}

    def route(self, method, path):
        text = self.body()
        if path == "/ocs/v1.php/cloud/capabilities":
            return self.reply(200, self.capabilities())
        user = self.user()
        if user is None:
            return self.reply(401)
        raw = self.path.split("?")[0].removeprefix("/graph").removeprefix("/v1.0")
        parts = [unquote(p) for p in raw.strip("/").split("/")]
        if not getattr(user, "admin", False) and (method != "GET" or parts[0] != "me"):
            return self.fail(Refused(403, "accessDenied", "Forbidden"))
        try:
            args = json.loads(text) if text else {}
        except ValueError:
            return self.fail(invalid("invalid request body"))
        name = "%s_%s" % (method.lower(), parts[0].replace("$", "").replace(".", ""))
        do = getattr(self, name, None)
        if do is None:
            return self.reply(404)
        if self.site.people.read_only and method != "GET" and parts[0] in ("users", "groups") \
                and parts[-1] != "appRoleAssignments":
            return self.fail(Refused(405, "notAllowed", "server is configured read-only"))
        try:
            with self.site.people.lock:
                return do(user, parts[1:], args)
        except Refused as e:
            return self.fail(e)

    def fail(self, e):
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return self.reply(e.status, {"error": {
            "code": e.kind, "message": str(e),
            "innererror": {"date": stamp, "request-id": "sim"}}})

    # ---- users
    def shown(self, p, mail=True, enabled=True):
        out = {"displayName": p.display, "id": p.id, "onPremisesSamAccountName": p.name,
               "surname": p.surname, "userType": "Member"}
        if mail and p.mail:
            out["mail"] = p.mail
        if enabled or p.enabled is not None:
            out["accountEnabled"] = p.enabled is not False
        return out

    def person(self, key):
        people = self.site.people
        found = people.by_id(key) or people.by_name(key)
        if found is None:
            raise Refused(404, "itemNotFound", "not found")
        return found

    def role_shown(self, person):
        return {"appRoleId": ROLE, "id": "role-" + person.id, "principalId": person.id,
                "principalType": "User", "resourceId": APPLICATION}

    def get_applications(self, user, rest, args):
        roles = [{"displayName": "User Light", "id": "38071a68-456a-4553-846a-fa67bf5596cc"},
                 {"displayName": "User", "id": ROLE}]
        return self.reply(200, {"value": [{"id": APPLICATION, "appRoles": roles,
                                           "displayName": "ownCloud Infinite Scale"}]})

    def get_me(self, user, rest, args):
        if rest[:1] == ["drives"]:
            return self.reply(200, {"value": []})
        return self.reply(200, self.shown(self.site.people.users[user.uid], enabled=False))

    def get_users(self, user, rest, args):
        people = self.site.people
        if rest:
            found = self.person(rest[0])
            if rest[1:] == ["appRoleAssignments"]:
                return self.reply(200, {"value": [self.role_shown(found)] if found.role else []})
            out = self.shown(found, mail=False)
            if "memberOf" in self.query.get("$expand", ""):
                out["memberOf"] = [self.group_shown(people.groups[g])
                                   for g in people.groups_of(found.id)]
            return self.reply(200, out)
        if "onPremisesSamAccountName" in self.query.get("$filter", ""):
            raise Refused(501, "generalException", "unsupported filter")
        low = self.query.get("$search", "").strip('"').lower()
        value = [self.shown(p) for p in people.users.values()
                 if low in p.name.lower() or low in p.display.lower() or low in p.mail.lower()]
        return self.reply(200, {"value": value})

    def check_mail(self, args, words):
        if "mail" in args and not MAIL.match(args["mail"] or ""):
            raise invalid(words % args["mail"] if "%s" in words else words)

    def post_users(self, user, rest, args):
        people = self.site.people
        if rest[1:] == ["appRoleAssignments"]:
            person = self.person(rest[0])
            if args.get("principalId") != rest[0]:
                raise invalid("user id %s does not match principal id %s"
                              % (rest[0], args.get("principalId")))
            if (args.get("appRoleId"), args.get("resourceId")) != (ROLE, APPLICATION):
                raise invalid("no such role")
            person.role = True
            return self.reply(201, self.role_shown(person))
        for key in ("displayName", "onPremisesSamAccountName"):
            if args.get(key) is None or key == "displayName" and args[key] == "":
                raise invalid("invalid request body: no value given for required property " + key)
        if "id" in args:
            raise invalid("user id is a read-only attribute")
        for key in ("memberOf", "userType"):
            if key in args:
                raise invalid(key + " is a read-only attribute")
        self.check_mail(args, "invalid email address")
        name = args["onPremisesSamAccountName"]
        if name == "" or people.by_name(name):
            raise Refused(409, "nameAlreadyExists", "a user with that name already exists")
        person = Person(name, args["displayName"], args.get("mail", ""),
                        args.get("accountEnabled"))
        person.password = (args.get("passwordProfile") or {}).get("password")
        person.role = False
        people.add(person)
        self.give_role(person)
        return self.reply(201, self.shown(person, enabled=False))

    def give_role(self, person):
        """Whose caller has gone before is there and has none."""
        for rule in self.site.desk.between("between.PostUser"):
            if rule["effect"] == "latency":
                self.site.people.lock.release()  # others go on
                time.sleep(rule.get("ms", 100) / 1000)
                self.site.people.lock.acquire()
            elif rule["effect"] == "drop-before":
                self.die()
            else:
                raise Refused(500, "generalException", "role assignment failed")
        if self.hung_up():
            raise ConnectionError("the client went away")
        person.role = True

    def patch_users(self, user, rest, args):
        person = self.person(rest[0])
        if "mail" in args:
            self.check_mail(args, "'%s' is not a valid email address")
        name = args.get("onPremisesSamAccountName")
        if name is not None:
            other = self.site.people.by_name(name)
            if other not in (None, person):
                raise Refused(409, "nameAlreadyExists", "a user with that name already exists")
            person.name = name
        person.display = args.get("displayName", person.display)
        person.mail = args.get("mail", person.mail)
        person.enabled = args.get("accountEnabled", person.enabled)
        if "passwordProfile" in args:
            person.password = args["passwordProfile"].get("password")
        out = self.shown(person)
        return self.reply(200, out)

    def delete_users(self, user, rest, args):
        person = self.person(rest[0])
        if rest[1:2] == ["appRoleAssignments"]:
            person.role = False
            return self.reply(204)
        del self.site.people.users[person.id]
        self.site.store.spaces.pop(person.id, None)  # his space goes with him
        if ODD.search(person.name):
            raise Refused(404, "itemNotFound", "not found")
        for group in self.site.people.groups.values():
            group.members.discard(person.id)
        return self.reply(204)

    # ---- spaces
    def get_drives(self, user, rest, args):
        space = self.site.store.spaces.get(rest[0].split("$")[-1]) if rest else None
        if space is None:
            raise Refused(404, "itemNotFound", "drive not found")
        quota = {"total": space.quota or 0}
        if self.site.store.room is not None and not space.quota:
            quota["remaining"] = self.site.store.room
        return self.reply(200, {"id": rest[0], "driveType": "personal", "quota": quota})

    def patch_drives(self, user, rest, args):
        space = self.site.store.spaces.get(rest[0].split("$")[-1])
        if space is None:
            raise Refused(404, "itemNotFound", "drive not found")
        if "quota" in args:
            total = args["quota"].get("total")
            if not isinstance(total, int) or total < 0:
                raise invalid("invalid quota")
            most = self.site.store.max_quota
            if most and total > most:
                raise invalid("requested quota is higher than allowed")
            space.quota = total or None
        return self.reply(200, {"id": rest[0], "driveType": "personal",
                                "quota": {"total": space.quota or 0}})

    # ---- groups
    def group_shown(self, g):
        return {"displayName": g.name, "groupTypes": [], "id": g.id}

    def group(self, key):
        people = self.site.people
        found = people.group_by_id(key) or people.group_by_name(key)
        if found is None:
            raise Refused(404, "itemNotFound", "not found")
        return found

    def get_groups(self, user, rest, args):
        people = self.site.people
        if not rest:
            low = self.query.get("$search", "").strip('"').lower()
            found = [self.group_shown(g) for g in people.groups.values() if low in g.name.lower()]
            return self.reply(200, {"value": found})
        group = self.group(rest[0])
        members = [self.shown(people.users[u]) for u in sorted(group.members)
                   if u in people.users]
        if rest[1:] == ["members"]:
            return self.reply(200, members)  # a bare list
        out = self.group_shown(group)
        if "members" in self.query.get("$expand", ""):
            out["members"] = members
        return self.reply(200, out)

    def name_free(self, name, but=None):
        if not isinstance(name, str) or not name.strip():
            raise invalid("invalid request body: displayName must not be empty")
        if self.site.people.group_by_name(name) not in (None, but):
            raise Refused(409, "nameAlreadyExists", "group already exists")

    def member(self, link):
        found = self.site.people.users.get(link.rstrip("/").rsplit("/", 1)[-1])
        if found is None:
            raise Refused(404, "itemNotFound", "not found")
        return found

    def post_groups(self, user, rest, args):
        if len(rest) == 3 and rest[1:] == ["members", "$ref"]:
            group = self.group(rest[0])
            if "@odata.id" not in args:
                raise invalid("@odata.id reference is missing")
            group.members.add(self.member(args["@odata.id"]).id)
            return self.reply(204)
        if "id" in args:
            raise invalid("group id is a read-only attribute")
        self.name_free(args.get("displayName"))
        group = Group(args["displayName"])
        self.site.people.groups[group.id] = group
        return self.reply(201, self.group_shown(group))

    def patch_groups(self, user, rest, args):
        group = self.group(rest[0])
        if "displayName" in args:
            self.name_free(args["displayName"], group)
            group.name = args["displayName"]
        links = args.get("members@odata.bind", [])
        if len(links) > 20:
            raise invalid("Request is limited to 20 members")
        group.members |= {self.member(link).id for link in links}
        return self.reply(204)

    def delete_groups(self, user, rest, args):
        group = self.group(rest[0])
        if len(rest) == 4 and rest[1] == "members" and rest[3] == "$ref":
            if rest[2] not in group.members:
                raise Refused(404, "itemNotFound", "not found")
            group.members.discard(rest[2])
        else:
            del self.site.people.groups[group.id]
        return self.reply(204)
