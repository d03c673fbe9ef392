-- Followers of the audit log: each does something once for every entry, such as sending it on. A row is the bookmark of one. It
-- decides nothing about secrets and is written without an entry, which the follower itself would have to follow for ever.
CREATE TABLE follower (
  name         TEXT NOT NULL PRIMARY KEY,
  position     INTEGER NOT NULL,  -- index of the first entry that is not known to be handled
  lease_holder TEXT NOT NULL,     -- the server whose follower works, "" = none
  lease_until  INTEGER NOT NULL,  -- by the clock of that server; another server takes over when it stands still
  problem      TEXT NOT NULL,     -- why the last batch was not handled, "" = it was
  updated_at   INTEGER NOT NULL
) STRICT;

-- Where entries of the log are sent on. Credentials lie in instance_secret as "stream." and the id.
CREATE TABLE stream (
  id         TEXT NOT NULL PRIMARY KEY,
  name       TEXT NOT NULL UNIQUE,
  kind       TEXT NOT NULL,       -- file, syslog, webhook, bucket
  settings   TEXT NOT NULL,       -- JSON, as the kind understands it; no secrets
  actions    TEXT NOT NULL,       -- JSON list of actions and prefixes such as "secret.*"; null = all
  paused     INTEGER NOT NULL,
  from_start INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL
) STRICT;

-- Decoys: whoever touches one has found what nobody was to find, and the place tells where.
CREATE TABLE canary (
  id         TEXT NOT NULL PRIMARY KEY,
  org_id     TEXT NOT NULL,
  kind       TEXT NOT NULL,       -- secret or token
  place      TEXT NOT NULL,       -- where this one lies and no other
  hash       BLOB,                -- of a token
  project_id TEXT NOT NULL,       -- of a secret
  env_id     TEXT NOT NULL,
  secret_id  TEXT NOT NULL,
  exempt     TEXT NOT NULL,       -- JSON list of principals whose reads are no touch
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  touched_at INTEGER NOT NULL,    -- the last time, 0 = never
  touched    INTEGER NOT NULL     -- how often
) STRICT;
CREATE UNIQUE INDEX canary_hash ON canary (hash) WHERE hash IS NOT NULL;

-- Stretches of the log whose entries were moved into an archive. Their hashes stay in audit_tile, and what the deep verification
-- needs of them in carry: the last digest of each row that they wrote.
CREATE TABLE audit_segment (
  first       INTEGER NOT NULL PRIMARY KEY,
  count       INTEGER NOT NULL,
  from_ms     INTEGER NOT NULL,
  to_ms       INTEGER NOT NULL,
  place       TEXT NOT NULL,      -- URI of the folder or bucket, without credentials
  name        TEXT NOT NULL,      -- of the file or object
  sealed      INTEGER NOT NULL,   -- 1 = to the recovery kits of that time
  bytes       INTEGER NOT NULL,   -- of the file
  digest      BLOB NOT NULL,      -- SHA-256 of the file
  carry       BLOB NOT NULL,
  archived_at INTEGER NOT NULL
) STRICT;
