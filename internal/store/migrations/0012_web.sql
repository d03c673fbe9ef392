-- Passkeys: public keys of WebAuthn credentials, and the challenges that browsers were asked to sign.

CREATE TABLE passkey (
  id              TEXT NOT NULL PRIMARY KEY,
  org_id          TEXT NOT NULL REFERENCES org (id),
  user_id         TEXT NOT NULL REFERENCES person (id),
  credential      BLOB NOT NULL UNIQUE,  -- id that the authenticator gave it
  public_key      BLOB NOT NULL,         -- COSE_Key (RFC 9052)
  transports      TEXT NOT NULL,         -- JSON: how a browser reaches the authenticator
  model           TEXT NOT NULL,         -- AAGUID, all zeros when the authenticator does not tell
  backup_eligible INTEGER NOT NULL,      -- may be copied to other devices by its maker
  name            TEXT NOT NULL,
  created_at      INTEGER NOT NULL,
  sign_count      INTEGER NOT NULL,      -- the last that was seen; 0 = the authenticator does not count
  last_used_at    INTEGER NOT NULL,      -- 0 = never
  cloned_at       INTEGER NOT NULL       -- when its count went back, 0 = never
) STRICT;
CREATE INDEX passkey_user ON passkey (user_id);

-- Each is good for one ceremony and ends by itself.
CREATE TABLE passkey_challenge (
  hash       TEXT NOT NULL PRIMARY KEY,  -- SHA-256 of the challenge
  ceremony   TEXT NOT NULL,              -- login, register or verify
  token_id   TEXT NOT NULL,              -- session that asked, "" for a login
  session    TEXT NOT NULL,              -- what the ceremony's end must know of its beginning, JSON
  expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX passkey_challenge_end ON passkey_challenge (expires_at);
