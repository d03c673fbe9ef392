-- Watching: who uses what, what is worth telling people, and where they are told. Consumers, events and deliveries follow from
-- the log and are written without entries of their own; rules and channels are decisions and leave one each.

CREATE TABLE consumer (
  secret_id      TEXT NOT NULL,
  principal_id   TEXT NOT NULL,
  address        TEXT NOT NULL,     -- where the client was
  principal_kind TEXT NOT NULL,
  principal_name TEXT NOT NULL,     -- as it was the last time
  agent          TEXT NOT NULL,     -- what the client called itself the last time
  org_id         TEXT NOT NULL,
  project_id     TEXT NOT NULL,
  env_id         TEXT NOT NULL,
  version        INTEGER NOT NULL,  -- that it was given the last time
  first_at       INTEGER NOT NULL,
  last_at        INTEGER NOT NULL,  -- coarse
  reads          INTEGER NOT NULL,
  entry          INTEGER NOT NULL,  -- index of the last entry of the log that is counted
  PRIMARY KEY (secret_id, principal_id, address)
) STRICT;
CREATE INDEX consumer_principal ON consumer (principal_id);
CREATE INDEX consumer_first ON consumer (first_at);

CREATE TABLE alert_channel (
  id         TEXT NOT NULL PRIMARY KEY,
  name       TEXT NOT NULL UNIQUE,
  kind       TEXT NOT NULL,
  settings   TEXT NOT NULL,     -- JSON, without secrets: those lie in instance_secret as "alert." and the id
  place      TEXT NOT NULL,     -- which one it is, for people
  severity   TEXT NOT NULL,     -- the least that is sent there
  rules      TEXT NOT NULL,     -- JSON list of rules; null = all
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL
) STRICT;

-- What somebody changed of a rule. The rules themselves are part of the program.
CREATE TABLE alert_rule (
  id       TEXT NOT NULL PRIMARY KEY,
  settings TEXT NOT NULL        -- JSON
) STRICT;

-- What happened, one row for each matter until it is quiet.
CREATE TABLE alert_event (
  id       TEXT NOT NULL PRIMARY KEY,
  rule     TEXT NOT NULL,
  matter   TEXT NOT NULL,       -- what it is about, such as a principal
  severity TEXT NOT NULL,
  title    TEXT NOT NULL,
  facts    TEXT NOT NULL,       -- JSON
  first_at INTEGER NOT NULL,
  last_at  INTEGER NOT NULL,
  count    INTEGER NOT NULL,
  told     INTEGER NOT NULL,    -- the count that was sent
  due_at   INTEGER NOT NULL,    -- when the next message is due, 0 = none
  quiet_at INTEGER NOT NULL,    -- until when further ones join this row
  entry    INTEGER NOT NULL     -- index of the last entry that is counted, -1 = none
) STRICT;
CREATE INDEX alert_event_rule ON alert_event (rule, quiet_at);
CREATE INDEX alert_event_due ON alert_event (due_at) WHERE due_at > 0;
CREATE INDEX alert_event_last ON alert_event (last_at);

CREATE TABLE alert_delivery (
  id         TEXT NOT NULL PRIMARY KEY,
  event_id   TEXT NOT NULL,     -- "" = a test
  channel_id TEXT NOT NULL,
  message    TEXT NOT NULL,     -- JSON, as it is sent
  state      TEXT NOT NULL,     -- waiting, sent, dead
  attempts   INTEGER NOT NULL,
  next_at    INTEGER NOT NULL,  -- of the next attempt
  problem    TEXT NOT NULL,     -- of the last one
  created_at INTEGER NOT NULL,
  done_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX alert_delivery_next ON alert_delivery (next_at) WHERE state = 'waiting';
CREATE INDEX alert_delivery_state ON alert_delivery (state, created_at);
CREATE INDEX alert_delivery_event ON alert_delivery (event_id);

-- What was seen before, so that the first time can be told: principals in projects, principals in networks.
CREATE TABLE alert_known (
  id TEXT NOT NULL PRIMARY KEY,
  at INTEGER NOT NULL
) STRICT;
