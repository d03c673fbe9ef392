-- One text serves both engines: on PostgreSQL a blob is a BYTEA, an integer a BIGINT,
-- text compares by bytes and the strict mark is left out.
-- Ids are UUIDv7 text, times are unix milliseconds (0 = none), booleans are 0 or 1.

CREATE TABLE instance (
  one        INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
  id         TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  epoch      INTEGER NOT NULL,  -- fencing: every write transaction checks it
  log_size   INTEGER NOT NULL,
  log_root   BLOB NOT NULL,
  feed_seq   INTEGER NOT NULL
) STRICT;

CREATE TABLE key_slot (
  id          TEXT NOT NULL PRIMARY KEY,
  kind        TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  key_id      TEXT NOT NULL,
  wrapped     BLOB NOT NULL,
  key_check   BLOB NOT NULL,
  created_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE key_generation (
  id             TEXT NOT NULL PRIMARY KEY,
  layer          TEXT NOT NULL,
  project_id     TEXT NOT NULL,
  generation     INTEGER NOT NULL,
  state          TEXT NOT NULL,
  wrapped        BLOB,
  wrapped_by     TEXT NOT NULL,
  created_at     INTEGER NOT NULL,
  seals_reserved INTEGER NOT NULL,
  public         BLOB,
  UNIQUE (layer, project_id, generation)
) STRICT;

CREATE TABLE org (
  id         TEXT NOT NULL PRIMARY KEY,
  slug       TEXT NOT NULL UNIQUE,
  name       TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE project (
  id         TEXT NOT NULL PRIMARY KEY,
  org_id     TEXT NOT NULL REFERENCES org (id),
  slug       TEXT NOT NULL,
  name       TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  deleted_at INTEGER NOT NULL,
  purged_at  INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX project_slug ON project (org_id, slug) WHERE deleted_at = 0;

CREATE TABLE environment (
  id         TEXT NOT NULL PRIMARY KEY,
  org_id     TEXT NOT NULL REFERENCES org (id),
  project_id TEXT NOT NULL REFERENCES project (id),
  slug       TEXT NOT NULL,
  name       TEXT NOT NULL,
  position   INTEGER NOT NULL,
  revision   INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  deleted_at INTEGER NOT NULL,
  purged_at  INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX environment_slug ON environment (project_id, slug) WHERE deleted_at = 0;
CREATE INDEX environment_project ON environment (project_id, position);

CREATE TABLE commits (
  id          TEXT NOT NULL PRIMARY KEY,
  org_id      TEXT NOT NULL,
  project_id  TEXT NOT NULL,
  env_id      TEXT NOT NULL REFERENCES environment (id),
  revision    INTEGER NOT NULL,
  author_kind TEXT NOT NULL,
  author_id   TEXT NOT NULL,
  author_name TEXT NOT NULL,
  at          INTEGER NOT NULL,
  message     TEXT NOT NULL,
  cause       TEXT NOT NULL,
  changes     INTEGER NOT NULL,
  UNIQUE (env_id, revision)
) STRICT;

-- A folder as it is now; folder_history holds every state that was replaced.
CREATE TABLE folder (
  id         TEXT NOT NULL PRIMARY KEY,
  org_id     TEXT NOT NULL,
  project_id TEXT NOT NULL,
  env_id     TEXT NOT NULL REFERENCES environment (id),
  path       TEXT NOT NULL,
  revision   INTEGER NOT NULL,
  version    INTEGER NOT NULL,  -- how many commits touched it or its secrets
  deleted    INTEGER NOT NULL,  -- the revision that deleted it, 0 = live
  settings   TEXT NOT NULL      -- imports and required names, JSON
) STRICT;
CREATE UNIQUE INDEX folder_path ON folder (env_id, path) WHERE deleted = 0;
CREATE INDEX folder_env ON folder (env_id, revision);

CREATE TABLE folder_history (
  id         TEXT NOT NULL,
  org_id     TEXT NOT NULL,
  project_id TEXT NOT NULL,
  env_id     TEXT NOT NULL,
  path       TEXT NOT NULL,
  revision   INTEGER NOT NULL,
  version    INTEGER NOT NULL,
  deleted    INTEGER NOT NULL,
  settings   TEXT NOT NULL,
  PRIMARY KEY (id, revision)
) STRICT;
CREATE INDEX folder_history_env ON folder_history (env_id, revision);

-- A secret as it is now; secret_history holds every state that was replaced. State at a revision = the newest of both.
CREATE TABLE secret (
  id         TEXT NOT NULL PRIMARY KEY,
  org_id     TEXT NOT NULL,
  project_id TEXT NOT NULL,
  env_id     TEXT NOT NULL REFERENCES environment (id),
  folder_id  TEXT NOT NULL REFERENCES folder (id),
  name       TEXT NOT NULL,
  revision   INTEGER NOT NULL,
  version    INTEGER NOT NULL,
  deleted    INTEGER NOT NULL,
  at         INTEGER NOT NULL,
  attrs      TEXT NOT NULL,
  comment    BLOB,
  value      BLOB,              -- NULL once purged
  digest     BLOB               -- keyed digest of the value, NULL once purged
) STRICT;
CREATE UNIQUE INDEX secret_name ON secret (folder_id, name) WHERE deleted = 0;
CREATE INDEX secret_env ON secret (env_id, revision);
CREATE INDEX secret_digest ON secret (digest);

CREATE TABLE secret_history (
  id         TEXT NOT NULL,
  org_id     TEXT NOT NULL,
  project_id TEXT NOT NULL,
  env_id     TEXT NOT NULL,
  folder_id  TEXT NOT NULL,
  name       TEXT NOT NULL,
  revision   INTEGER NOT NULL,
  version    INTEGER NOT NULL,
  deleted    INTEGER NOT NULL,
  at         INTEGER NOT NULL,
  attrs      TEXT NOT NULL,
  comment    BLOB,
  value      BLOB,
  digest     BLOB,
  PRIMARY KEY (id, revision)
) STRICT;
CREATE INDEX secret_history_env ON secret_history (env_id, revision);
CREATE INDEX secret_history_digest ON secret_history (digest);

-- Which current value points to which secret, by id, so that a rename finds what it must rewrite.
CREATE TABLE secret_ref (
  from_id    TEXT NOT NULL,
  to_id      TEXT NOT NULL,
  org_id     TEXT NOT NULL,
  project_id TEXT NOT NULL,
  PRIMARY KEY (from_id, to_id)
) STRICT;
CREATE INDEX secret_ref_to ON secret_ref (to_id);

CREATE TABLE personal (
  id         TEXT NOT NULL PRIMARY KEY,
  secret_id  TEXT NOT NULL REFERENCES secret (id),
  user_id    TEXT NOT NULL,
  org_id     TEXT NOT NULL,
  project_id TEXT NOT NULL,
  version    INTEGER NOT NULL,
  at         INTEGER NOT NULL,
  value      BLOB,
  UNIQUE (secret_id, user_id)
) STRICT;
CREATE INDEX personal_user ON personal (user_id, project_id);

CREATE TABLE person (
  id         TEXT NOT NULL PRIMARY KEY,
  org_id     TEXT NOT NULL REFERENCES org (id),
  email      TEXT NOT NULL UNIQUE,
  name       TEXT NOT NULL,
  password   TEXT NOT NULL,     -- argon2id in PHC form
  created_at INTEGER NOT NULL,
  disabled   INTEGER NOT NULL
) STRICT;

CREATE TABLE identity (
  id         TEXT NOT NULL PRIMARY KEY,
  org_id     TEXT NOT NULL REFERENCES org (id),
  name       TEXT NOT NULL,
  token_ttl  INTEGER NOT NULL,  -- milliseconds
  created_at INTEGER NOT NULL,
  disabled   INTEGER NOT NULL,
  UNIQUE (org_id, name)
) STRICT;

CREATE TABLE client_secret (
  id          TEXT NOT NULL PRIMARY KEY,
  org_id      TEXT NOT NULL,
  identity_id TEXT NOT NULL REFERENCES identity (id),
  hash        BLOB NOT NULL UNIQUE,
  name        TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL,
  revoked_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX client_secret_identity ON client_secret (identity_id);

CREATE TABLE token (
  id             TEXT NOT NULL PRIMARY KEY,
  org_id         TEXT NOT NULL,
  hash           BLOB NOT NULL UNIQUE,
  kind           TEXT NOT NULL,
  name           TEXT NOT NULL,
  principal_kind TEXT NOT NULL,
  principal_id   TEXT NOT NULL,
  scopes         TEXT NOT NULL, -- JSON, "null" when the token narrows nothing
  created_at     INTEGER NOT NULL,
  expires_at     INTEGER NOT NULL,
  revoked_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX token_principal ON token (principal_id);

CREATE TABLE role_grant (
  id             TEXT NOT NULL PRIMARY KEY,
  org_id         TEXT NOT NULL,
  principal_kind TEXT NOT NULL,
  principal_id   TEXT NOT NULL,
  project_id     TEXT NOT NULL, -- "" = the whole organisation
  env_id         TEXT NOT NULL, -- "" = the whole project
  role           TEXT NOT NULL,
  created_at     INTEGER NOT NULL,
  UNIQUE (principal_id, project_id, env_id)
) STRICT;

-- The audit log: one row for each group commit, and complete tiles of 256 hashes.
CREATE TABLE audit_chunk (
  first   INTEGER NOT NULL PRIMARY KEY,
  count   INTEGER NOT NULL,
  from_ms INTEGER NOT NULL,
  to_ms   INTEGER NOT NULL,
  data    BLOB NOT NULL
) STRICT;

CREATE TABLE audit_tile (
  level  INTEGER NOT NULL,
  idx    INTEGER NOT NULL,
  hashes BLOB NOT NULL,
  PRIMARY KEY (level, idx)
) STRICT;

-- What changed, for other servers' caches and for listeners. Trimmed; the truth is elsewhere.
CREATE TABLE feed (
  seq        INTEGER NOT NULL PRIMARY KEY,
  kind       TEXT NOT NULL,
  project_id TEXT NOT NULL,
  env_id     TEXT NOT NULL,
  revision   INTEGER NOT NULL,
  at         INTEGER NOT NULL
) STRICT;

CREATE TABLE idempotency (
  id      TEXT NOT NULL PRIMARY KEY, -- principal and key, hashed
  request BLOB NOT NULL,             -- hash of method, path and body
  answer  BLOB,                      -- sealed; NULL while the first answer is not known to be made
  at      INTEGER NOT NULL
) STRICT;
CREATE INDEX idempotency_at ON idempotency (at);
