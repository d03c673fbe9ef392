-- People, machines and policy: what tokens remember of the login that made them, roles as lists of rules, groups, grants in
-- folders and for a time.

ALTER TABLE token ADD COLUMN method TEXT NOT NULL DEFAULT '';             -- of the login
ALTER TABLE token ADD COLUMN auth_at INTEGER NOT NULL DEFAULT 0;          -- when a credential was last shown
ALTER TABLE token ADD COLUMN mfa_at INTEGER NOT NULL DEFAULT 0;           -- when a second factor was last shown
ALTER TABLE token ADD COLUMN idle_ms INTEGER NOT NULL DEFAULT 0;          -- ends when it was not used for so long
ALTER TABLE token ADD COLUMN renew_until INTEGER NOT NULL DEFAULT 0;      -- no renewal reaches further
ALTER TABLE token ADD COLUMN uses INTEGER NOT NULL DEFAULT 0;             -- how often it may be used at all, 0 = any
ALTER TABLE token ADD COLUMN networks TEXT NOT NULL DEFAULT 'null';       -- JSON: where it may come from
ALTER TABLE token ADD COLUMN attributes TEXT NOT NULL DEFAULT 'null';     -- JSON: what the login proved about the holder
ALTER TABLE token ADD COLUMN parent TEXT NOT NULL DEFAULT '';             -- the token that made it
ALTER TABLE token ADD COLUMN address TEXT NOT NULL DEFAULT '';            -- of the client that got it
ALTER TABLE token ADD COLUMN agent TEXT NOT NULL DEFAULT '';
ALTER TABLE token ADD COLUMN last_used_at INTEGER NOT NULL DEFAULT 0;     -- coarse
ALTER TABLE token ADD COLUMN used INTEGER NOT NULL DEFAULT 0;             -- counted of tokens with a number of uses

-- A role is a list of rules. Grants name it by id, so that a name which is used again brings nothing back.
CREATE TABLE role (
  id          TEXT NOT NULL PRIMARY KEY,
  org_id      TEXT NOT NULL REFERENCES org (id),
  name        TEXT NOT NULL,
  description TEXT NOT NULL,
  rules       TEXT NOT NULL,    -- JSON
  created_at  INTEGER NOT NULL,
  UNIQUE (org_id, name)
) STRICT;

CREATE TABLE user_group (
  id          TEXT NOT NULL PRIMARY KEY,
  org_id      TEXT NOT NULL REFERENCES org (id),
  name        TEXT NOT NULL,
  external_id TEXT NOT NULL,    -- of a directory that manages it, "" = managed here
  created_at  INTEGER NOT NULL,
  UNIQUE (org_id, name)
) STRICT;

CREATE TABLE group_member (
  group_id    TEXT NOT NULL REFERENCES user_group (id),
  member_kind TEXT NOT NULL,    -- user, identity or group
  member_id   TEXT NOT NULL,
  org_id      TEXT NOT NULL,
  cause       TEXT NOT NULL,    -- hand, or the connection that put it there
  PRIMARY KEY (group_id, member_id)
) STRICT;
CREATE INDEX group_member_member ON group_member (member_id);

-- A principal may now hold several roles in one place, one in a folder of it or for a time.
CREATE TABLE role_grant_next (
  id             TEXT NOT NULL PRIMARY KEY,
  org_id         TEXT NOT NULL,
  principal_kind TEXT NOT NULL, -- user, identity or group
  principal_id   TEXT NOT NULL,
  project_id     TEXT NOT NULL, -- "" = the whole organisation
  env_id         TEXT NOT NULL, -- "" = the whole project
  path           TEXT NOT NULL, -- pattern of folders, "" = all
  role           TEXT NOT NULL, -- name of a built-in role or id of a custom one
  created_at     INTEGER NOT NULL,
  expires_at     INTEGER NOT NULL, -- 0 = none
  reason         TEXT NOT NULL,
  cause          TEXT NOT NULL, -- "" = hand, or what gave it: a connection, a request, break-glass
  UNIQUE (principal_id, project_id, env_id, path, role, cause)
) STRICT;
INSERT INTO role_grant_next (id, org_id, principal_kind, principal_id, project_id, env_id, path, role, created_at, expires_at, reason, cause)
  SELECT id, org_id, principal_kind, principal_id, project_id, env_id, '', role, created_at, 0, '', '' FROM role_grant;
DROP TABLE role_grant;
ALTER TABLE role_grant_next RENAME TO role_grant;
CREATE INDEX role_grant_place ON role_grant (project_id);
