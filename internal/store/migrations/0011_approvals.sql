-- Changes that wait for others, roles that are asked for, and credentials for emergencies.

-- An environment whose changes need others.
CREATE TABLE env_approval (
  env_id     TEXT NOT NULL PRIMARY KEY REFERENCES environment (id),
  org_id     TEXT NOT NULL,
  project_id TEXT NOT NULL,
  need       INTEGER NOT NULL,   -- how many others; 0 = changes apply at once
  approvers  TEXT NOT NULL,      -- JSON list of kind and id: role, group or user; null = whoever may change the environment
  expiry_ms  INTEGER NOT NULL,   -- how long a change waits
  bypass     TEXT NOT NULL,      -- JSON list of ids of machine identities whose changes apply at once
  updated_at INTEGER NOT NULL
) STRICT;

-- A change that waits. What it says lies sealed in change_part.
CREATE TABLE change_set (
  id          TEXT NOT NULL PRIMARY KEY,
  org_id      TEXT NOT NULL,
  project_id  TEXT NOT NULL,
  env_id      TEXT NOT NULL,
  kind        TEXT NOT NULL,     -- commit, rollback, purge, setting, env.rename, env.delete, env.restore, env.purge
  base        INTEGER NOT NULL,  -- revision of the environment that it was made for
  need        INTEGER NOT NULL,  -- how many others, when it was made
  author_kind TEXT NOT NULL,
  author_id   TEXT NOT NULL,
  author_name TEXT NOT NULL,
  scopes      TEXT NOT NULL,     -- JSON: of the token that the author showed
  message     TEXT NOT NULL,
  cause       TEXT NOT NULL,
  summary     TEXT NOT NULL,     -- JSON: names and kinds of change, never values
  digest      BLOB NOT NULL,     -- SHA-256 of the content, salt and all
  state       TEXT NOT NULL,     -- open, stale, applied, rejected, expired, withdrawn
  problem     TEXT NOT NULL,     -- why it is stale
  created_at  INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL,
  ended_at    INTEGER NOT NULL,
  revision    INTEGER NOT NULL,  -- that it made, 0 = none
  commit_id   TEXT NOT NULL
) STRICT;
CREATE INDEX change_set_project ON change_set (project_id, state);
CREATE INDEX change_set_due ON change_set (expires_at) WHERE state IN ('open', 'stale');

CREATE TABLE change_part (
  id         TEXT NOT NULL PRIMARY KEY,
  change_id  TEXT NOT NULL REFERENCES change_set (id),
  project_id TEXT NOT NULL,
  part       INTEGER NOT NULL,   -- from 1
  value      BLOB                -- envelope
) STRICT;
CREATE INDEX change_part_change ON change_part (change_id, part);
CREATE INDEX change_part_sealed ON change_part (substr(value, 3, 16)) WHERE value IS NOT NULL;

CREATE TABLE change_review (
  id            TEXT NOT NULL PRIMARY KEY,
  change_id     TEXT NOT NULL REFERENCES change_set (id),
  org_id        TEXT NOT NULL,
  reviewer_kind TEXT NOT NULL,
  reviewer_id   TEXT NOT NULL,
  reviewer_name TEXT NOT NULL,
  verdict       TEXT NOT NULL,   -- approve, reject, comment
  comment       TEXT NOT NULL,
  digest        BLOB NOT NULL,   -- of the content that was reviewed
  at            INTEGER NOT NULL
) STRICT;
CREATE INDEX change_review_change ON change_review (change_id);

-- A link by which one reviewer approves one content, once.
CREATE TABLE change_link (
  id          TEXT NOT NULL PRIMARY KEY,
  change_id   TEXT NOT NULL REFERENCES change_set (id),
  org_id      TEXT NOT NULL,
  reviewer_id TEXT NOT NULL,     -- a user
  digest      BLOB NOT NULL,     -- of the content that it approves
  hash        BLOB NOT NULL UNIQUE,
  created_at  INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL,
  used_at     INTEGER NOT NULL
) STRICT;

-- A role that somebody asks for, for a time. Project and environment stand there as they were asked for: what is not there
-- is not told.
CREATE TABLE access_request (
  id             TEXT NOT NULL PRIMARY KEY,
  org_id         TEXT NOT NULL,
  principal_kind TEXT NOT NULL,
  principal_id   TEXT NOT NULL,
  principal_name TEXT NOT NULL,
  role           TEXT NOT NULL,
  project        TEXT NOT NULL,
  env            TEXT NOT NULL,
  project_id     TEXT NOT NULL,  -- "" = no such project
  env_id         TEXT NOT NULL,
  path           TEXT NOT NULL,
  ttl_ms         INTEGER NOT NULL,
  reason         TEXT NOT NULL,
  state          TEXT NOT NULL,  -- open, approved, denied, withdrawn, expired
  created_at     INTEGER NOT NULL,
  expires_at     INTEGER NOT NULL, -- of the request
  decided_at     INTEGER NOT NULL,
  decided_id     TEXT NOT NULL,
  decided_name   TEXT NOT NULL,
  comment        TEXT NOT NULL,
  grant_id       TEXT NOT NULL,
  granted_until  INTEGER NOT NULL
) STRICT;
CREATE INDEX access_request_state ON access_request (org_id, state);

-- A credential for emergencies, as it was prepared. It is good for one opening.
CREATE TABLE breakglass (
  id           TEXT NOT NULL PRIMARY KEY,
  org_id       TEXT NOT NULL,
  name         TEXT NOT NULL,
  role         TEXT NOT NULL,
  project_id   TEXT NOT NULL,
  env_id       TEXT NOT NULL,
  ttl_ms       INTEGER NOT NULL,
  need         INTEGER NOT NULL,
  state        TEXT NOT NULL,    -- ready, used, replaced
  created_at   INTEGER NOT NULL,
  created_id   TEXT NOT NULL,
  created_name TEXT NOT NULL
) STRICT;
CREATE INDEX breakglass_name ON breakglass (org_id, name);

CREATE TABLE breakglass_share (
  id            TEXT NOT NULL PRIMARY KEY,
  breakglass_id TEXT NOT NULL REFERENCES breakglass (id),
  user_id       TEXT NOT NULL,
  user_name     TEXT NOT NULL,
  hash          BLOB NOT NULL
) STRICT;
CREATE INDEX breakglass_share_of ON breakglass_share (breakglass_id);

CREATE TABLE breakglass_opening (
  id            TEXT NOT NULL PRIMARY KEY,
  breakglass_id TEXT NOT NULL REFERENCES breakglass (id),
  org_id        TEXT NOT NULL,
  name          TEXT NOT NULL,
  project_id    TEXT NOT NULL,
  env_id        TEXT NOT NULL,
  opener_id     TEXT NOT NULL,
  opener_name   TEXT NOT NULL,
  reason        TEXT NOT NULL,
  state         TEXT NOT NULL,   -- begun, open, closed, lapsed
  begun_at      INTEGER NOT NULL,
  expires_at    INTEGER NOT NULL, -- shares are taken until then; of an open one, when it closes by itself
  opened_at     INTEGER NOT NULL,
  closed_at     INTEGER NOT NULL,
  closed_by     TEXT NOT NULL,
  log_from      INTEGER NOT NULL, -- index in the log before which nothing of it stands
  token_id      TEXT NOT NULL,
  settled       INTEGER NOT NULL, -- the report is final
  report        TEXT NOT NULL     -- JSON
) STRICT;
CREATE INDEX breakglass_opening_state ON breakglass_opening (state, settled);

CREATE TABLE breakglass_entry (
  id         TEXT NOT NULL PRIMARY KEY,
  opening_id TEXT NOT NULL REFERENCES breakglass_opening (id),
  user_id    TEXT NOT NULL,
  user_name  TEXT NOT NULL,
  at         INTEGER NOT NULL,
  UNIQUE (opening_id, user_id)
) STRICT;

-- What was read under a break-glass credential must be replaced.
CREATE TABLE breakglass_task (
  id         TEXT NOT NULL PRIMARY KEY,
  opening_id TEXT NOT NULL REFERENCES breakglass_opening (id),
  org_id     TEXT NOT NULL,
  project_id TEXT NOT NULL,
  env_id     TEXT NOT NULL,
  path       TEXT NOT NULL,
  name       TEXT NOT NULL,
  secret_id  TEXT NOT NULL,      -- "" = not found any more
  read_at    INTEGER NOT NULL,
  due_at     INTEGER NOT NULL,
  done_at    INTEGER NOT NULL,   -- 0 = open
  done_by    TEXT NOT NULL,
  UNIQUE (opening_id, env_id, path, name)
) STRICT;
