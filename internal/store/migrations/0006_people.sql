-- People: invitations and other one-time links, second factors, recovery codes, settings of an organisation, and what is to be
-- rotated after somebody has left.

ALTER TABLE person ADD COLUMN password_at INTEGER NOT NULL DEFAULT 0; -- when the password was last set
ALTER TABLE person ADD COLUMN erased_at INTEGER NOT NULL DEFAULT 0;   -- name and address were replaced, 0 = never

-- What an organisation has decided for its people, by name. A name that is not here has its default.
CREATE TABLE org_setting (
  org_id TEXT NOT NULL REFERENCES org (id),
  name   TEXT NOT NULL,
  value  TEXT NOT NULL,
  at     INTEGER NOT NULL,
  PRIMARY KEY (org_id, name)
) STRICT;

-- Links that work once: invitations, new passwords, proofs of an address. Only the hash of what is in the link is kept.
CREATE TABLE invite (
  id         TEXT NOT NULL PRIMARY KEY,
  org_id     TEXT NOT NULL REFERENCES org (id),
  purpose    TEXT NOT NULL,       -- invite, password or address
  hash       BLOB NOT NULL UNIQUE,
  email      TEXT NOT NULL,
  name       TEXT NOT NULL,
  user_id    TEXT NOT NULL,       -- whose password or address it is, "" of an invitation until it is accepted
  grants     TEXT NOT NULL,       -- JSON
  groups     TEXT NOT NULL,       -- JSON, ids
  invited_by TEXT NOT NULL,       -- id of the person
  mailed     INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  used_at    INTEGER NOT NULL,    -- 0 = never
  revoked_at INTEGER NOT NULL     -- 0 = never
) STRICT;
CREATE INDEX invite_org ON invite (org_id);
CREATE INDEX invite_user ON invite (user_id);

-- Second factors. The seed of a time-based one is an instance secret under the id of the row.
CREATE TABLE second_factor (
  id           TEXT NOT NULL PRIMARY KEY,
  org_id       TEXT NOT NULL REFERENCES org (id),
  user_id      TEXT NOT NULL REFERENCES person (id),
  kind         TEXT NOT NULL,     -- totp
  name         TEXT NOT NULL,
  created_at   INTEGER NOT NULL,
  confirmed_at INTEGER NOT NULL,  -- 0 = not yet in force
  last_step    INTEGER NOT NULL   -- of the last code that was taken: none is taken twice
) STRICT;
CREATE INDEX second_factor_user ON second_factor (user_id);

CREATE TABLE recovery_code (
  id         TEXT NOT NULL PRIMARY KEY,
  org_id     TEXT NOT NULL REFERENCES org (id),
  user_id    TEXT NOT NULL REFERENCES person (id),
  hash       BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  used_at    INTEGER NOT NULL     -- 0 = never
) STRICT;
CREATE INDEX recovery_code_user ON recovery_code (user_id);

-- One secret that a leaver had read, to be rotated by its owner.
CREATE TABLE leaver_task (
  id         TEXT NOT NULL PRIMARY KEY,
  org_id     TEXT NOT NULL REFERENCES org (id),
  user_id    TEXT NOT NULL,       -- the leaver
  secret_id  TEXT NOT NULL,
  project_id TEXT NOT NULL,
  env_id     TEXT NOT NULL,
  version    INTEGER NOT NULL,    -- the newest that he has read
  read_at    INTEGER NOT NULL,    -- when last
  owner      TEXT NOT NULL,       -- attribute of the secret when the task was made
  created_at INTEGER NOT NULL,
  closed_at  INTEGER NOT NULL,    -- 0 = open
  outcome    TEXT NOT NULL,       -- rotated, gone or dismissed
  reason     TEXT NOT NULL,       -- why it was dismissed
  closed_by  TEXT NOT NULL,       -- id of the principal, "" when it closed by itself
  UNIQUE (user_id, secret_id)
) STRICT;
CREATE INDEX leaver_task_org ON leaver_task (org_id, closed_at);
