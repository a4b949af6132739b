-- The image has made the user with all rights on the database; capture needs these, and not one more.
REVOKE ALL PRIVILEGES ON owncloud.* FROM 'lockstep'@'%';
GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO 'lockstep'@'%';
GRANT SELECT ON owncloud.* TO 'lockstep'@'%';
