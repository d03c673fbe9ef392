-- Machines: ways to log in, limits of client secrets, owners of API keys, values that are handed over once, and signing secrets
-- of applications whose predecessor ends.

ALTER TABLE identity ADD COLUMN max_ttl INTEGER NOT NULL DEFAULT 0;        -- ms, how far its access tokens can be renewed
ALTER TABLE identity ADD COLUMN token_uses INTEGER NOT NULL DEFAULT 0;     -- how often one may be used, 0 = any
ALTER TABLE identity ADD COLUMN networks TEXT NOT NULL DEFAULT 'null';     -- JSON: where client secrets and their tokens may come from
ALTER TABLE client_secret ADD COLUMN uses INTEGER NOT NULL DEFAULT 0;      -- how often it may log in, 0 = any
ALTER TABLE client_secret ADD COLUMN used INTEGER NOT NULL DEFAULT 0;
ALTER TABLE client_secret ADD COLUMN last_used_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE token ADD COLUMN owner TEXT NOT NULL DEFAULT '';               -- id of the person who answers for an API key

-- One way in which a machine may log in. Its secrets are instance secrets under "method.", the id and a number.
CREATE TABLE login_method (
  id          TEXT NOT NULL PRIMARY KEY,
  org_id      TEXT NOT NULL REFERENCES org (id),
  identity_id TEXT NOT NULL REFERENCES identity (id),
  kind        TEXT NOT NULL,
  name        TEXT NOT NULL,
  settings    TEXT NOT NULL,    -- JSON, as the kind understands it; no secrets
  secrets     INTEGER NOT NULL, -- how many
  ttl_ms      INTEGER NOT NULL, -- of the access tokens that it gives
  max_ttl_ms  INTEGER NOT NULL, -- how far they can be renewed, 0 = not at all
  uses        INTEGER NOT NULL, -- how often one may be used, 0 = any
  networks    TEXT NOT NULL,    -- JSON: where logins and tokens may come from, null = anywhere
  created_at  INTEGER NOT NULL,
  disabled    INTEGER NOT NULL,
  UNIQUE (identity_id, name)
) STRICT;

-- A value that opens once. It lies in instance_secret as "wrapped." and the id until then.
CREATE TABLE wrapped (
  id             TEXT NOT NULL PRIMARY KEY,
  org_id         TEXT NOT NULL REFERENCES org (id),
  hash           BLOB NOT NULL UNIQUE, -- of the token that opens it
  what           TEXT NOT NULL,
  created_at     INTEGER NOT NULL,
  created_by     TEXT NOT NULL,
  created_name   TEXT NOT NULL,
  expires_at     INTEGER NOT NULL,
  opened_at      INTEGER NOT NULL,     -- 0 = not yet
  opened_address TEXT NOT NULL,
  opened_agent   TEXT NOT NULL,
  erased_at      INTEGER NOT NULL      -- when the value was erased unopened, 0 = it was not
) STRICT;
CREATE INDEX wrapped_open ON wrapped (expires_at) WHERE opened_at = 0 AND erased_at = 0;

-- The predecessor of a signing secret, which is deleted when every token under it has ended.
CREATE TABLE signing_overlap (
  secret_id  TEXT NOT NULL PRIMARY KEY, -- of the predecessor
  org_id     TEXT NOT NULL REFERENCES org (id),
  project_id TEXT NOT NULL,
  env_id     TEXT NOT NULL,
  path       TEXT NOT NULL,
  name       TEXT NOT NULL,
  version    INTEGER NOT NULL,          -- of the predecessor: one that somebody has changed since is left alone
  begun_at   INTEGER NOT NULL,
  ends_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX signing_overlap_end ON signing_overlap (ends_at);
