-- What is frozen: no row, nothing is.

CREATE TABLE halt (
  place      TEXT NOT NULL PRIMARY KEY, -- id of a project, or "instance"
  org_id     TEXT NOT NULL,
  project_id TEXT NOT NULL,    -- "" = everything on the server
  kill       INTEGER NOT NULL, -- 1 = reads are refused too
  actor_kind TEXT NOT NULL,
  actor_id   TEXT NOT NULL,
  actor_name TEXT NOT NULL,
  reason     TEXT NOT NULL,
  at         INTEGER NOT NULL
) STRICT;
