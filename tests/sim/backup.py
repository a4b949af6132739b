"""A backup of the whole installation, and its return: people, trees, contents, shares, links.

What a backup of a real oCIS holds: its data and its users. What it does not: uploads that were under
way, tokens (they are checked, not stored) and the counters, which count on over a restore. Bytes that
were received never change, so that both states share them.
"""
import copy


def _parts(site):
    return (site.store.spaces, site.files.store.spaces, site.people.users, site.people.groups)


def take(site):
    """A copy of everything as of one moment."""
    with site.store.lock, site.files.store.lock, site.people.lock:
        return copy.deepcopy(_parts(site))


def put_back(site, kept):
    """Everything as it was when `kept` was taken, which stays good for another time."""
    with site.store.lock, site.files.store.lock, site.people.lock:
        (site.store.spaces, site.files.store.spaces,
         site.people.users, site.people.groups) = copy.deepcopy(kept)
        site.people.admin = site.people.users[site.people.admin.id]
        site.files.known.clear()
        site.gateway.homes.clear()
        for uploads in (site.uploads, site.files.uploads):
            uploads.sessions.clear()
            uploads.queue.clear()
