-- Tokens as Vault clients know them: children that end with the token that made them, periods, a narrower set of roles, and what
-- belongs to one token alone.

ALTER TABLE token ADD COLUMN display TEXT NOT NULL DEFAULT '';          -- what lookups call it, "" = made of method and name
ALTER TABLE token ADD COLUMN path TEXT NOT NULL DEFAULT '';             -- the route that made it, such as auth/approle/login
ALTER TABLE token ADD COLUMN meta TEXT NOT NULL DEFAULT 'null';         -- JSON, what its maker noted
ALTER TABLE token ADD COLUMN policies TEXT NOT NULL DEFAULT 'null';     -- JSON, the only roles that count, null = all of its holder
ALTER TABLE token ADD COLUMN ttl_ms INTEGER NOT NULL DEFAULT 0;         -- how long it was made for, 0 = from its making to its end
ALTER TABLE token ADD COLUMN period_ms INTEGER NOT NULL DEFAULT 0;      -- what every renewal gives, 0 = not periodic
ALTER TABLE token ADD COLUMN explicit_max_ms INTEGER NOT NULL DEFAULT 0; -- as it was asked for; renew_until is what counts
ALTER TABLE token ADD COLUMN renewed_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE token ADD COLUMN orphan INTEGER NOT NULL DEFAULT 0;         -- made by another, and does not end with it
ALTER TABLE token ADD COLUMN batch INTEGER NOT NULL DEFAULT 0;          -- has no accessor and is not renewed
ALTER TABLE token ADD COLUMN family TEXT NOT NULL DEFAULT '';           -- root of those that end together, "" = ends with no other
ALTER TABLE token ADD COLUMN token_role TEXT NOT NULL DEFAULT '';       -- name of the token role that it was made by
CREATE INDEX token_family ON token (family) WHERE family <> '' AND revoked_at = 0;

-- A template for tokens. What is in it narrows what its user may ask for; it gives nobody more than he has.
CREATE TABLE token_role (
  id         TEXT NOT NULL PRIMARY KEY,
  org_id     TEXT NOT NULL REFERENCES org (id),
  name       TEXT NOT NULL,
  settings   TEXT NOT NULL, -- JSON
  created_at INTEGER NOT NULL,
  UNIQUE (org_id, name)
) STRICT;

-- What one token keeps for itself. The content lies in instance_secret as "cubbyhole." and the id; a new content has a new id.
CREATE TABLE cubbyhole (
  id       TEXT NOT NULL PRIMARY KEY,
  org_id   TEXT NOT NULL REFERENCES org (id),
  token_id TEXT NOT NULL,
  path     TEXT NOT NULL,
  size     INTEGER NOT NULL, -- bytes of the content
  at       INTEGER NOT NULL,
  UNIQUE (token_id, path)
) STRICT;

-- Answers that are handed over once.
ALTER TABLE wrapped ADD COLUMN kind TEXT NOT NULL DEFAULT '';           -- answer, "" = a bare value
ALTER TABLE wrapped ADD COLUMN path TEXT NOT NULL DEFAULT '';           -- of the request that was answered
ALTER TABLE wrapped ADD COLUMN accessor TEXT NOT NULL DEFAULT '';       -- of the credential in the answer, "" = there is none
