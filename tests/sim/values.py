"""Small pure functions: times, etags, permissions, paths, opaque maps.

A time is a count of nanoseconds since 1970 as a Python integer. `shown_time` and `read_time`
keep the arithmetic of the real server, including what it does to strange input: a fraction is a
whole number of nanoseconds ("1.5" is 5 ns after second 1), text that is no number is second 0.
"""
import datetime
import hashlib
import posixpath
import struct
import time

import cs3.storage.provider.v1beta1.resources_pb2 as resources
import cs3.types.v1beta1.types_pb2 as types

SECOND = 1_000_000_000
ZERO_YEAR = 62135596800  # seconds from year 1 to 1970
INT64 = 1 << 63


def now_ns():
    return time.time_ns()


def _number(text):
    """A decimal int64 with optional sign; None for anything else."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not digits or not (digits.isascii() and digits.isdigit()):
        return None
    value = int(text)
    return value if -INT64 <= value < INT64 else None


def read_time(text):
    """(nanoseconds since 1970, whether the text was well formed)"""
    seconds, dot, fraction = text.partition(".")
    sec = _number(seconds)
    if sec is None:
        return 0, False
    if not dot:
        return sec * SECOND, True
    nano = _number(fraction)
    if nano is None:
        return sec * SECOND, False
    return sec * SECOND + nano, True


def shown_time(ns):
    """As a CS3 timestamp: 64-bit wrap, division towards zero, then read as unsigned."""
    un = (ns + INT64) % (1 << 64) - INT64
    sec = abs(un) // SECOND * (1 if un >= 0 else -1)
    nano = un - sec * SECOND
    return types.Timestamp(seconds=sec % (1 << 64), nanos=nano % (1 << 32))


def etag(node_id, ns):
    """Of a node's id and time only: equal times are equal etags, whatever the content."""
    sec, nano = divmod(ns, SECOND)
    stamp = struct.pack(">BQIh", 1, (sec + ZERO_YEAR) % (1 << 64), nano, -1)
    return '"%s"' % hashlib.md5(node_id.encode() + stamp).hexdigest()


def rfc3339nano(ns):
    sec, nano = divmod(ns, SECOND)
    try:
        day = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=sec)
        text = day.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    except OverflowError:
        text = "%d-01-01T00:00:00" % (1970 + sec // 31556952)
    if nano:
        text += (".%09d" % nano).rstrip("0")
    return text + "Z"


def http_time(ns):
    day = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=ns // SECOND)
    return day.strftime("%a, %d %b %Y %H:%M:%S +0000")


# ---- permissions: a set of names; the owner has all of these
PERMISSIONS = (
    "add_grant create_container delete get_path get_quota initiate_file_download "
    "initiate_file_upload list_grants list_container list_file_versions list_recycle move "
    "remove_grant purge_recycle restore_file_version restore_recycle_item stat update_grant "
    "deny_grant"
).split()
OWNER = frozenset(PERMISSIONS)
NOBODY = frozenset()
SERVICE = frozenset(
    "stat list_container get_path initiate_file_upload initiate_file_download remove_grant "
    "list_recycle purge_recycle restore_recycle_item delete create_container add_grant".split()
)

_messages = {}


def permission_message(names):
    message = _messages.get(names)
    if message is None:
        message = resources.ResourcePermissions(**{n: True for n in names})
        _messages[names] = message
    return message


def permission_names(message):
    return frozenset(n for n in PERMISSIONS if getattr(message, n))


# ---- opaque maps
def opaque_text(opaque, key):
    """The text under a key, or None."""
    if key not in opaque.map:
        return None
    return opaque.map[key].value.decode("utf-8", "replace")


def opaque_put(opaque, key, text):
    opaque.map[key].decoder = "plain"
    opaque.map[key].value = text.encode()


# ---- paths
def clean(path):
    """As Go's filepath.Clean: unlike normpath, "//" at the start is one slash."""
    out = posixpath.normpath(path) if path else "."
    return "/" + out.lstrip("/") if out.startswith("//") else out


def base(path):
    """As Go's path.Base: of "./" it is "."."""
    if not path:
        return "."
    path = path.rstrip("/")
    return path.rsplit("/", 1)[-1] if path else "/"


def parent_of(path):
    """As Go's path.Dir."""
    head = path.rsplit("/", 1)[0] if "/" in path else ""
    return clean(head + "/") if head or path.startswith("/") else "."


def joined(*parts):
    return clean("/".join(p for p in parts if p)) if any(parts) else ""


def id_text(storage, space, opaque):
    return "%s$%s!%s" % (storage, space, opaque)


def ref_text(ref):
    rid = ref.resource_id
    text = id_text(rid.storage_id, rid.space_id, rid.opaque_id)
    return joined(text, ref.path) if ref.path else text


def is_relative(ref):
    return ref.HasField("resource_id") and ref.path.startswith(".")
