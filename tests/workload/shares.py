"""
Shares as ownCloud 10 writes them: one row of oc_share each, in a transaction of its own.

0 user, 1 group, 2 one member's own state of a group share (parent = the group share's id), 3 link.
accepted: 0 accepted, 1 pending, 2 rejected. A file's share never has create and delete. Rows are
read back from the table: it is the only memory.
"""

import datetime
import string

READ, UPDATE, CREATE, DELETE, SHARE = 1, 2, 4, 8, 16
USER, GROUP, MEMBER, LINK = 0, 1, 2, 3
ACCEPTED, PENDING, REJECTED = 0, 1, 2


class Shares:
    def __init__(self, site):
        self.site, self.sql, self.rng = site, site.sql, site.rng

    def _insert(self, **row):
        row = {"stime": self.site.now(), **row}
        names = ", ".join(row)
        marks = ", ".join(["%s"] * len(row))
        self.sql("START TRANSACTION")
        self.sql(f"INSERT INTO oc_share ({names}) VALUES ({marks})", *row.values())
        number = self.site.cache.cursor.lastrowid
        self.sql("SELECT * FROM oc_share WHERE id = %s", number)
        self.sql("COMMIT")
        return number

    def _node(self, node, owner, initiator):
        return {"uid_owner": owner, "uid_initiator": initiator or owner,
                "item_type": "folder" if node.folder else "file", "item_source": str(node.id),
                "file_source": node.id, "file_target": "/" + node.name}

    def _fit(self, node, permissions):
        return permissions if node.folder else permissions & ~(CREATE | DELETE)

    def to_user(self, node, recipient, permissions=31, initiator=None, expires=None,
                accepted=ACCEPTED):
        return self._insert(share_type=USER, share_with=recipient,
                            permissions=self._fit(node, permissions), accepted=accepted,
                            expiration=expires,
                            **self._node(node, self.site.owner(node), initiator))

    def to_group(self, node, gid, permissions=31, initiator=None):
        return self._insert(share_type=GROUP, share_with=gid,
                            permissions=self._fit(node, permissions),
                            **self._node(node, self.site.owner(node), initiator))

    def link(self, node, permissions=1, password=False, expires=None, name=None):
        token = "".join(self.rng.choice(string.ascii_letters + string.digits) for _ in range(15))
        return self._insert(share_type=LINK, token=token, share_name=name,
                            share_with=self._hash() if password else None,
                            permissions=permissions, expiration=expires,
                            **self._node(node, self.site.owner(node), None))

    def _hash(self):
        return "1|$2y$10$" + "".join(
            self.rng.choice(string.ascii_letters + string.digits) for _ in range(53))

    def rows(self, where="1 = 1", *values):
        """(id, type, with, owner, parent, file_source, permissions, accepted, item_type)."""
        return self.sql("SELECT id, share_type, share_with, uid_owner, parent, file_source,"
                        f" permissions, accepted, item_type FROM oc_share WHERE {where}"
                        " ORDER BY id", *values).fetchall()

    def change_permissions(self, number, permissions):
        """A group share's members follow in a second transaction."""
        row = self.rows("id = %s", number)[0]
        if row[8] == "file":
            permissions &= ~(CREATE | DELETE)
        self.sql("UPDATE oc_share SET permissions = %s WHERE id = %s", permissions, number)
        if row[1] == GROUP:
            self.sql("UPDATE oc_share SET permissions = %s WHERE parent = %s AND share_type = 2",
                     permissions, number)

    def change_expiration(self, number, expires):
        self.sql("UPDATE oc_share SET expiration = %s WHERE id = %s", expires, number)

    def change_link_password(self, number, has):
        self.sql("UPDATE oc_share SET share_with = %s WHERE id = %s AND share_type = 3",
                 self._hash() if has else None, number)

    def member_row(self, number, uid, **values):
        """One member's own row of a group share: UPDATE, else INSERT."""
        row = self.sql("SELECT id FROM oc_share WHERE parent = %s AND share_type = 2"
                       " AND share_with = %s", number, uid).fetchone()
        if row:
            self._set(row[0], values)
            return row[0]
        owner, initiator, kind, source, target, permissions = self.sql(
            "SELECT uid_owner, uid_initiator, item_type, file_source, file_target, permissions"
            " FROM oc_share WHERE id = %s", number).fetchone()
        return self._insert(**{
            "share_type": MEMBER, "share_with": uid, "uid_owner": owner,
            "uid_initiator": initiator, "parent": number, "item_type": kind,
            "item_source": str(source), "file_source": source, "file_target": target,
            "permissions": permissions, **values})

    def _set(self, number, values):
        names = ", ".join(f"{k} = %s" for k in values)
        self.sql(f"UPDATE oc_share SET {names} WHERE id = %s", *values.values(), number)

    def answer(self, number, uid, accepted):
        """The recipient accepts or declines."""
        if self.rows("id = %s", number)[0][1] == GROUP:
            self.member_row(number, uid, accepted=accepted)
        else:
            self._set(number, {"accepted": accepted})

    def rename_received(self, number, uid, target):
        if self.rows("id = %s", number)[0][1] == GROUP:
            self.member_row(number, uid, file_target=target)
        else:
            self._set(number, {"file_target": target})

    def remove(self, number):
        """Its links made by the recipient first; a group share takes its members' rows along."""
        for child in self.rows("parent = %s AND share_type = 3", number):
            self.sql("DELETE FROM oc_share WHERE id = %s", child[0])
        self.sql("DELETE FROM oc_share WHERE id = %s OR (parent = %s AND share_type = 2)",
                 number, number)

    def remove_orphans(self):
        """The job that follows a purge: shares whose file is gone, by one DELETE."""
        return self.sql("DELETE s FROM oc_share s LEFT JOIN oc_filecache f"
                        " ON s.file_source = f.fileid WHERE f.fileid IS NULL").rowcount


def in_days(days):
    """An expiration as ownCloud writes it."""
    return (datetime.date.today() + datetime.timedelta(days=days)).strftime("%Y-%m-%d 00:00:00")
