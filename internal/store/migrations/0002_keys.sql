-- Every key turns. Slots hold the instance key for an HPKE key pair that is made from the root key, so that it turns while no
-- root key is at hand. The first format had none of these columns; the server refills such slots when it unlocks with them.
ALTER TABLE key_slot ADD COLUMN source TEXT NOT NULL DEFAULT '';
ALTER TABLE key_slot ADD COLUMN kept BLOB;
ALTER TABLE key_slot ADD COLUMN public BLOB;
ALTER TABLE key_slot ADD COLUMN proof BLOB;
ALTER TABLE key_slot ADD COLUMN proved_at INTEGER NOT NULL DEFAULT 0;

-- One turn of one key: a run of the engine, and afterwards its history. At most one runs for each key.
CREATE TABLE key_turn (
  id         TEXT NOT NULL PRIMARY KEY,
  layer      TEXT NOT NULL,
  project_id TEXT NOT NULL,     -- "" unless the layer is project
  old_key    TEXT NOT NULL,     -- key id; of the root layer the fingerprint of the root key that goes, "" when none does
  new_key    TEXT NOT NULL,
  stage      TEXT NOT NULL,
  cause      TEXT NOT NULL,     -- hand, schedule or limit
  actor_kind TEXT NOT NULL,
  actor_id   TEXT NOT NULL,
  actor_name TEXT NOT NULL,
  keep_old   INTEGER NOT NULL,  -- 1 = the old key is kept in the state retired
  started_at INTEGER NOT NULL,
  due_at     INTEGER NOT NULL,  -- end of the overlap, 0 = as soon as nothing is left
  ended_at   INTEGER NOT NULL,  -- 0 = runs
  paused     INTEGER NOT NULL,
  rate       INTEGER NOT NULL,  -- envelopes a second at most, 0 = as fast as readers allow
  done       INTEGER NOT NULL,
  total      INTEGER NOT NULL,
  problem    TEXT NOT NULL,     -- what keeps it from going on, in words
  census     TEXT NOT NULL,     -- the signed count
  handover   TEXT NOT NULL,     -- of the log layer: the new key, signed by the old one
  trace      TEXT NOT NULL      -- of the root layer: hex of what must not be found in the files any more
) STRICT;
CREATE UNIQUE INDEX key_turn_running ON key_turn (layer, project_id) WHERE ended_at = 0;
CREATE INDEX key_turn_started ON key_turn (started_at);

-- Which envelope lies under which key: bytes 3 to 18 of an envelope are the key id. The census is a walk over these.
CREATE INDEX secret_sealed ON secret (substr(value, 3, 16)) WHERE value IS NOT NULL;
CREATE INDEX secret_noted ON secret (substr(comment, 3, 16)) WHERE comment IS NOT NULL;
CREATE INDEX secret_history_sealed ON secret_history (substr(value, 3, 16)) WHERE value IS NOT NULL;
CREATE INDEX secret_history_noted ON secret_history (substr(comment, 3, 16)) WHERE comment IS NOT NULL;
CREATE INDEX personal_sealed ON personal (substr(value, 3, 16)) WHERE value IS NOT NULL;

-- A digest begins with the generation of the index key that made it. All there are were made by the first.
UPDATE secret SET digest = CAST(X'00000001' || digest AS BLOB) WHERE digest IS NOT NULL;
UPDATE secret_history SET digest = CAST(X'00000001' || digest AS BLOB) WHERE digest IS NOT NULL;

-- Answers that are kept for a day were bound to a place that only their request knew, so nobody could seal them anew.
DELETE FROM idempotency;
