-- Secrets of the server itself, sealed under the instance key: the identity that opens backups for the drill.
CREATE TABLE instance_secret (
  id    TEXT NOT NULL PRIMARY KEY,
  at    INTEGER NOT NULL,
  value BLOB NOT NULL           -- envelope; its place is this id
) STRICT;

-- The backups that this instance knows of. No part of a backup: a clone must neither count nor delete those of another.
CREATE TABLE backup (
  id         TEXT NOT NULL PRIMARY KEY,
  place      TEXT NOT NULL,     -- URI of the folder or bucket, without credentials
  name       TEXT NOT NULL,     -- of the file or object
  created_at INTEGER NOT NULL,
  bytes      INTEGER NOT NULL,
  digest     BLOB NOT NULL,     -- SHA-256 of the file
  recipients TEXT NOT NULL,     -- public, JSON
  summary    TEXT NOT NULL,     -- of the manifest, JSON
  checked_at INTEGER NOT NULL,  -- 0 = never
  drilled_at INTEGER NOT NULL,  -- 0 = never
  problem    TEXT NOT NULL,     -- of the last check or drill, "" = none
  removed_at INTEGER NOT NULL   -- 0 = should be there
) STRICT;
CREATE INDEX backup_created ON backup (created_at);
