-- Logins of the Vault dialect: places at which one logs in, what is set for roles there, and what is set for one client secret.

ALTER TABLE client_secret ADD COLUMN networks TEXT NOT NULL DEFAULT 'null';       -- JSON: where it may log in from
ALTER TABLE client_secret ADD COLUMN token_networks TEXT NOT NULL DEFAULT 'null'; -- JSON: where its tokens may come from
ALTER TABLE client_secret ADD COLUMN metadata TEXT NOT NULL DEFAULT 'null';       -- JSON: texts by name, shown with its logins

-- A place at which one logs in. Those that are there from the beginning have a row only when somebody has changed something.
CREATE TABLE auth_mount (
  id          TEXT NOT NULL PRIMARY KEY,
  org_id      TEXT NOT NULL REFERENCES org (id),
  path        TEXT NOT NULL,    -- without slashes at the ends
  type        TEXT NOT NULL,
  description TEXT NOT NULL,
  settings    TEXT NOT NULL,    -- JSON, without secrets
  secret      INTEGER NOT NULL, -- 1 = instance_secret has one as "auth." and the id
  created_at  INTEGER NOT NULL,
  disabled    INTEGER NOT NULL,
  UNIQUE (org_id, path)
) STRICT;

-- What is set for a role at such a place beside what the identity itself and its login method hold.
CREATE TABLE auth_role (
  id          TEXT NOT NULL PRIMARY KEY,
  org_id      TEXT NOT NULL REFERENCES org (id),
  mount       TEXT NOT NULL,
  name        TEXT NOT NULL,
  identity_id TEXT NOT NULL UNIQUE REFERENCES identity (id),
  role_id     TEXT NOT NULL,    -- another name for the client id, "" = none
  settings    TEXT NOT NULL,    -- JSON
  created_at  INTEGER NOT NULL,
  UNIQUE (org_id, mount, name)
) STRICT;
CREATE UNIQUE INDEX auth_role_id ON auth_role (role_id) WHERE role_id <> '';
