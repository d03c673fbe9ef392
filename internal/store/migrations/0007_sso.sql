-- Single sign-on: connections to identity providers and directories, and which account is whose there.

CREATE TABLE sso_connection (
  id         TEXT NOT NULL PRIMARY KEY,
  org_id     TEXT NOT NULL REFERENCES org (id),
  kind       TEXT NOT NULL,        -- oidc, saml, ldap or scim
  name       TEXT NOT NULL UNIQUE, -- it stands in addresses, which know no organisation
  settings   TEXT NOT NULL,        -- JSON, as the kind understands it; the secret lies in instance_secret as "sso." and the id
  rules      TEXT NOT NULL,        -- JSON: domains, how people come in, what groups give
  enabled    INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL
) STRICT;
CREATE INDEX sso_connection_org ON sso_connection (org_id);

-- Who somebody at a provider is here. Never by e-mail address: the subject stays when the address goes to another person.
CREATE TABLE sso_link (
  connection_id TEXT NOT NULL REFERENCES sso_connection (id),
  subject       TEXT NOT NULL,
  org_id        TEXT NOT NULL,
  user_id       TEXT NOT NULL REFERENCES person (id),
  created_at    INTEGER NOT NULL,
  last_login_at INTEGER NOT NULL,
  PRIMARY KEY (connection_id, subject)
) STRICT;
CREATE INDEX sso_link_user ON sso_link (user_id);

-- What happens once: an answer of a provider that was taken (state), and a login that waits for whoever takes its session (code).
CREATE TABLE sso_once (
  id            BLOB NOT NULL PRIMARY KEY, -- hash of what must come
  kind          TEXT NOT NULL,
  challenge     TEXT NOT NULL,
  connection_id TEXT NOT NULL,
  user_id       TEXT NOT NULL,
  mfa           INTEGER NOT NULL,
  expires_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX sso_once_expires ON sso_once (expires_at);

-- People and groups that a directory keeps here by SCIM (RFC 7643).
CREATE TABLE scim_user (
  user_id       TEXT NOT NULL PRIMARY KEY REFERENCES person (id),
  org_id        TEXT NOT NULL,
  connection_id TEXT NOT NULL REFERENCES sso_connection (id),
  user_name     TEXT NOT NULL,
  user_key      TEXT NOT NULL,  -- user_name in small letters: names are compared without regard to case
  external_id   TEXT NOT NULL,
  given_name    TEXT NOT NULL,
  family_name   TEXT NOT NULL,
  created_at    INTEGER NOT NULL,
  updated_at    INTEGER NOT NULL,
  UNIQUE (org_id, user_key)
) STRICT;
CREATE INDEX scim_user_external ON scim_user (connection_id, external_id);
CREATE INDEX scim_user_page ON scim_user (connection_id, user_id);

CREATE TABLE scim_group (
  group_id      TEXT NOT NULL PRIMARY KEY REFERENCES user_group (id),
  org_id        TEXT NOT NULL,
  connection_id TEXT NOT NULL REFERENCES sso_connection (id),
  external_id   TEXT NOT NULL,
  created_at    INTEGER NOT NULL,
  updated_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX scim_group_external ON scim_group (connection_id, external_id);
