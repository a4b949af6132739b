-- The tables of ownCloud 10.16 that the workload writes, and those that Lockstep watches.
-- Column order is that of a server upgraded from older
-- releases where the two differ, so that nobody relies on it.
SET NAMES utf8mb4;

CREATE TABLE oc_storages (
  id VARCHAR(64) NULL, numeric_id INT NOT NULL AUTO_INCREMENT,
  available INT NOT NULL DEFAULT 1, last_checked INT NULL,
  PRIMARY KEY (numeric_id), UNIQUE KEY storages_id_index (id));

CREATE TABLE oc_mimetypes (
  id INT NOT NULL AUTO_INCREMENT, mimetype VARCHAR(255) NOT NULL DEFAULT '',
  PRIMARY KEY (id), UNIQUE KEY mimetype_id_index (mimetype));

CREATE TABLE oc_filecache (
  fileid BIGINT NOT NULL AUTO_INCREMENT, storage INT NOT NULL DEFAULT 0,
  path VARCHAR(4000) NULL, path_hash VARCHAR(32) NOT NULL DEFAULT '',
  parent BIGINT NOT NULL DEFAULT 0, name VARCHAR(250) NULL,
  mimetype INT NOT NULL DEFAULT 0, mimepart INT NOT NULL DEFAULT 0,
  size BIGINT NOT NULL DEFAULT 0, mtime BIGINT NOT NULL DEFAULT 0,
  storage_mtime BIGINT NOT NULL DEFAULT 0, encrypted INT NOT NULL DEFAULT 0,
  unencrypted_size BIGINT NOT NULL DEFAULT 0, etag VARCHAR(40) NULL,
  permissions INT NULL DEFAULT 0, checksum VARCHAR(255) NULL,
  PRIMARY KEY (fileid), UNIQUE KEY fs_storage_path_hash (storage, path_hash),
  KEY fs_parent_name_hash (parent, name), KEY fs_storage_mimetype (storage, mimetype),
  KEY fs_storage_size (storage, size, fileid), KEY fs_parent_storage_size (parent, storage, size));

CREATE TABLE oc_share (
  id INT NOT NULL AUTO_INCREMENT, share_type SMALLINT NOT NULL DEFAULT 0,
  share_with VARCHAR(255) NULL, uid_owner VARCHAR(64) NOT NULL DEFAULT '',
  parent INT NULL, item_type VARCHAR(64) NOT NULL DEFAULT '', item_source VARCHAR(255) NULL,
  item_target VARCHAR(255) NULL, file_source BIGINT NULL, file_target VARCHAR(512) NULL,
  permissions SMALLINT NOT NULL DEFAULT 0, stime BIGINT NOT NULL DEFAULT 0,
  accepted SMALLINT NOT NULL DEFAULT 0, expiration DATETIME NULL, token VARCHAR(32) NULL,
  mail_send SMALLINT NOT NULL DEFAULT 0, uid_initiator VARCHAR(64) NULL,
  share_name VARCHAR(64) NULL, attributes LONGTEXT NULL,
  PRIMARY KEY (id), KEY item_share_type_index (item_type, share_type),
  KEY file_source_index (file_source), KEY token_index (token));

CREATE TABLE oc_share_external (
  id BIGINT NOT NULL AUTO_INCREMENT, remote VARCHAR(512) NOT NULL,
  remote_id VARCHAR(255) NOT NULL DEFAULT '-1', share_token VARCHAR(64) NOT NULL,
  password VARCHAR(64) NULL, name VARCHAR(255) NOT NULL, owner VARCHAR(64) NOT NULL,
  user VARCHAR(64) NOT NULL, mountpoint VARCHAR(4000) NOT NULL,
  mountpoint_hash VARCHAR(32) NOT NULL, accepted INT NOT NULL DEFAULT 0,
  lastscan BIGINT UNSIGNED NULL,
  PRIMARY KEY (id), UNIQUE KEY sh_external_mp (user, mountpoint_hash));

CREATE TABLE oc_trusted_servers (
  id INT NOT NULL AUTO_INCREMENT, url VARCHAR(512) NOT NULL,
  url_hash VARCHAR(255) NOT NULL DEFAULT '', token VARCHAR(128) NULL,
  shared_secret VARCHAR(256) NULL, status INT NOT NULL DEFAULT 2, sync_token VARCHAR(512) NULL,
  PRIMARY KEY (id), UNIQUE KEY url_hash (url_hash));

CREATE TABLE oc_accounts (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT, email VARCHAR(255) NULL,
  user_id VARCHAR(255) NOT NULL, lower_user_id VARCHAR(255) NOT NULL,
  display_name VARCHAR(255) NULL, quota VARCHAR(32) NULL, last_login INT NOT NULL DEFAULT 0,
  backend VARCHAR(64) NOT NULL, home VARCHAR(1024) NOT NULL, state SMALLINT NOT NULL DEFAULT 0,
  creation_time INT NOT NULL DEFAULT 0,
  PRIMARY KEY (id), UNIQUE KEY uniq_user_id (user_id), UNIQUE KEY lower_user_id_index (lower_user_id));

CREATE TABLE oc_users (
  uid VARCHAR(64) NOT NULL DEFAULT '', displayname VARCHAR(64) NULL,
  password VARCHAR(255) NOT NULL DEFAULT '', PRIMARY KEY (uid));
CREATE TABLE oc_groups (gid VARCHAR(64) NOT NULL DEFAULT '', PRIMARY KEY (gid));
CREATE TABLE oc_group_user (
  gid VARCHAR(64) NOT NULL DEFAULT '', uid VARCHAR(64) NOT NULL DEFAULT '',
  PRIMARY KEY (gid, uid), KEY gu_uid_index (uid));

CREATE TABLE oc_files_trash (
  auto_id BIGINT NOT NULL AUTO_INCREMENT, id VARCHAR(250) NOT NULL DEFAULT '',
  user VARCHAR(64) NOT NULL DEFAULT '', timestamp VARCHAR(12) NOT NULL DEFAULT '',
  location VARCHAR(512) NOT NULL DEFAULT '', type VARCHAR(4) NULL, mime VARCHAR(255) NULL,
  PRIMARY KEY (auto_id), KEY id_index (id), KEY timestamp_index (timestamp), KEY user_index (user));

CREATE TABLE oc_properties (
  id BIGINT NOT NULL AUTO_INCREMENT, fileid BIGINT UNSIGNED NOT NULL,
  propertyname VARCHAR(255) NOT NULL DEFAULT '', propertyvalue VARCHAR(255) NOT NULL,
  propertytype SMALLINT NOT NULL DEFAULT 1, PRIMARY KEY (id), KEY fileid_index (fileid));

CREATE TABLE oc_vcategory (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT, uid VARCHAR(64) NOT NULL DEFAULT '',
  type VARCHAR(64) NOT NULL DEFAULT '', category VARCHAR(255) NOT NULL DEFAULT '',
  PRIMARY KEY (id), KEY uid_index (uid));
CREATE TABLE oc_vcategory_to_object (
  objid BIGINT UNSIGNED NOT NULL DEFAULT 0, categoryid INT UNSIGNED NOT NULL DEFAULT 0,
  type VARCHAR(64) NOT NULL DEFAULT '', PRIMARY KEY (categoryid, objid, type));

CREATE TABLE oc_systemtag (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT, name VARCHAR(64) NOT NULL DEFAULT '',
  visibility SMALLINT NOT NULL DEFAULT 1, editable SMALLINT NOT NULL DEFAULT 1,
  assignable SMALLINT NOT NULL DEFAULT 1, PRIMARY KEY (id),
  UNIQUE KEY tag_ident (name, visibility, editable, assignable));
CREATE TABLE oc_systemtag_object_mapping (
  objectid VARCHAR(64) NOT NULL DEFAULT '', objecttype VARCHAR(64) NOT NULL DEFAULT '',
  systemtagid INT UNSIGNED NOT NULL DEFAULT 0,
  UNIQUE KEY mapping (objecttype, objectid, systemtagid));

CREATE TABLE oc_preferences (
  userid VARCHAR(64) NOT NULL DEFAULT '', appid VARCHAR(32) NOT NULL DEFAULT '',
  configkey VARCHAR(64) NOT NULL DEFAULT '', configvalue LONGTEXT NULL,
  PRIMARY KEY (userid, appid, configkey));

CREATE TABLE oc_ldap_user_mapping (
  ldap_dn VARCHAR(255) NOT NULL, owncloud_name VARCHAR(255) NOT NULL,
  directory_uuid VARCHAR(255) NOT NULL,
  PRIMARY KEY (owncloud_name), UNIQUE KEY ldap_dn_users (ldap_dn));
CREATE TABLE oc_ldap_group_mapping (
  ldap_dn VARCHAR(255) NOT NULL, owncloud_name VARCHAR(255) NOT NULL,
  directory_uuid VARCHAR(255) NOT NULL,
  PRIMARY KEY (owncloud_name), UNIQUE KEY ldap_dn_groups (ldap_dn));

-- not watched: the noise
CREATE TABLE oc_file_locks (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT, `lock` INT NOT NULL DEFAULT 0,
  `key` VARCHAR(64) NOT NULL, ttl INT NOT NULL DEFAULT -1,
  PRIMARY KEY (id), UNIQUE KEY lock_key_index (`key`));
CREATE TABLE oc_mounts (
  id INT NOT NULL AUTO_INCREMENT, storage_id INT NOT NULL, root_id INT NOT NULL,
  user_id VARCHAR(255) NOT NULL, mount_point VARCHAR(4000) NOT NULL, PRIMARY KEY (id));
