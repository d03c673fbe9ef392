-- Named keys of the encryption service: their material never leaves it, unless a key says that it may.
CREATE TABLE transit_key (
  id               TEXT NOT NULL PRIMARY KEY,
  org_id           TEXT NOT NULL REFERENCES org (id),
  project_id       TEXT NOT NULL,    -- empty = of the organisation
  name             TEXT NOT NULL,
  description      TEXT NOT NULL,
  kind             TEXT NOT NULL,    -- aes256-gcm96, ed25519, ...
  disabled         INTEGER NOT NULL,
  derived          INTEGER NOT NULL, -- each context has a key of its own
  convergent       INTEGER NOT NULL, -- equal plaintexts give equal ciphertexts
  exportable       INTEGER NOT NULL,
  plain_backup     INTEGER NOT NULL,
  deletion_allowed INTEGER NOT NULL,
  imported         INTEGER NOT NULL, -- its material came from outside
  latest           INTEGER NOT NULL, -- version
  min_available    INTEGER NOT NULL, -- versions below it are destroyed; 0 = none
  min_decryption   INTEGER NOT NULL,
  min_encryption   INTEGER NOT NULL, -- 0 = the latest only is the default, and any may be asked for
  rotate_ms        INTEGER NOT NULL, -- 0 = never by itself
  rotated_at       INTEGER NOT NULL,
  created_at       INTEGER NOT NULL,
  created_by       TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX transit_key_name ON transit_key (org_id, project_id, name);
CREATE INDEX transit_key_due ON transit_key ((rotated_at + rotate_ms)) WHERE rotate_ms > 0;

CREATE TABLE transit_version (
  id         TEXT NOT NULL PRIMARY KEY, -- id of the key, ':' and the version
  key_id     TEXT NOT NULL REFERENCES transit_key (id),
  org_id     TEXT NOT NULL,
  project_id TEXT NOT NULL,
  version    INTEGER NOT NULL,          -- from 1
  public     BLOB,                      -- SubjectPublicKeyInfo of asymmetric keys
  created_at INTEGER NOT NULL,
  value      BLOB                       -- envelope
) STRICT;
CREATE INDEX transit_version_key ON transit_version (key_id, version);
CREATE INDEX transit_version_sealed ON transit_version (substr(value, 3, 16)) WHERE value IS NOT NULL;
