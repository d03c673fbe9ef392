-- Followers of the audit log: each does something once for every entry, such as sending it on. A row is the bookmark of one. It
-- decides nothing about secrets and is written without an entry, which the follower itself would have to follow for ever.
CREATE TABLE follower (
  name         TEXT NOT NULL PRIMARY KEY,
  position     INTEGER NOT NULL,  -- index of the first entry that is not known to be handled
  lease_holder TEXT NOT NULL,     -- the server whose follower works, "" = none
  lease_until  INTEGER NOT NULL,  -- by the clock of that server; another server takes over when it stands still
  problem      TEXT NOT NULL,     -- why the last batch was not handled, "" = it was
  updated_at   INTEGER NOT NULL
) STRICT;
