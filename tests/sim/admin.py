"""The admin port: counters, faults, switches. JSON in, JSON out.

    GET  /counters            calls by name, and those that write
    POST /counters/reset
    GET  /calls               the last calls that write or met a fault, as lines
    GET  /writing             the patterns of writing calls
    GET|POST|DELETE /faults   see faults.py; POST takes one rule or a list
    POST /down {"seconds"}    connections are refused and open ones cut; without seconds: until /up
    POST /up
    POST /stopping {"seconds"}  the gateway says NOT_FOUND to everything, the provider UNAVAILABLE
    POST /coming_up {"seconds"}  whoever has signed in is denied everything
    POST /tokens/expire       every token given so far is refused
    POST /settings            async, pace (files a second, 0 holds the backlog), window, limit,
                              landing, public_password, jitter, max_quota,
                              room (bytes left, null: not told),
                              homes (seconds for which the gateway remembers an answer to CreateHome)
    POST /directory {"users": [{"name", "id", "display", "role"}], "groups": [{"name", "id",
                              "members"}]}   of a directory, which Graph may only read from then
                              on; role: he has signed in before; members: by their ids
    POST /quota {"user", "bytes"}   of his personal space; null: none
    POST /backup              keeps everything as it is now, in place of an older backup
    POST /restore             puts that back; connections and counters go on
    GET  /state               spaces, nodes, trash, sessions left over, backlog
    POST /quit
"""
import json
import os
import threading
import time

import backup
import web
from people import Group, Person
from faults import WRITING


class AdminHandler(web.Handler):
    def handle_any(self):
        path, self.query = self.parts()
        try:
            text = self.body()
            args = json.loads(text) if text else {}
            answer = self.answer(self.command + " " + path, args)
        except (ValueError, KeyError, TypeError) as e:
            return self.reply(400, {"error": str(e)})
        if answer is None:
            return self.reply(404, {"error": "no such thing; see admin.py"})
        return self.reply(200, answer)

    do_GET = do_POST = do_DELETE = handle_any

    def answer(self, what, args):
        site, desk = self.site, self.site.desk
        if what == "GET /counters":
            return desk.counters()
        if what == "POST /counters/reset":
            desk.reset()
            return {}
        if what == "GET /calls":
            return {"calls": list(desk.log)}
        if what == "GET /writing":
            return {"writing": list(WRITING)}
        if what == "GET /faults":
            return {"faults": desk.shown()}
        if what == "POST /faults":
            return {"ids": desk.add(args if isinstance(args, list) else [args])}
        if what == "DELETE /faults":
            desk.clear()
            return {}
        if what == "POST /down":
            site.front.down(site.public)
            self.later(args.get("seconds"), lambda: site.front.up(site.public))
            return {}
        if what == "POST /up":
            site.front.up(site.public)
            return {}
        if what == "POST /stopping":
            site.stopping_until = time.time() + args.get("seconds", 2)
            return {}
        if what == "POST /coming_up":
            site.coming_up_until = time.time() + args.get("seconds", 2)
            return {}
        if what == "POST /tokens/expire":
            site.people.expire()
            return {}
        if what == "POST /settings":
            return site.set(args)
        if what == "POST /quota":
            person = site.people.by_name(args["user"])
            site.store.spaces[person.id].quota = args["bytes"]
            return {}
        if what == "POST /directory":
            people = site.people
            with people.lock:
                people.read_only = True
                for one in args.get("users", []):
                    people.add(Person(one["name"], one.get("display", one["name"]),
                                      uid=one["id"], role=one.get("role", False)))
                for one in args.get("groups", []):
                    people.groups[one["id"]] = Group(one["name"], one["id"], one["members"])
            return {}
        if what == "POST /backup":
            site.kept = backup.take(site)
            return {}
        if what == "POST /restore":
            if site.kept is None:
                raise ValueError("there is no backup")
            backup.put_back(site, site.kept)
            return {}
        if what == "GET /state":
            return site.state()
        if what == "POST /quit":
            self.later(0.1, lambda: os._exit(0))
            return {}
        return None

    @staticmethod
    def later(seconds, do):
        if seconds is not None:
            timer = threading.Timer(seconds, do)
            timer.daemon = True
            timer.start()
