-- The Vault view: mounts, and the versions of folders as documents.

-- A mount lays a path of the Vault view over a project, an environment of it or a folder of that. A row with an empty path holds
-- the settings of the mount that every project is by itself.
CREATE TABLE mount (
  id          TEXT NOT NULL PRIMARY KEY,
  org_id      TEXT NOT NULL REFERENCES org (id),
  project_id  TEXT NOT NULL REFERENCES project (id),
  env_id      TEXT NOT NULL,     -- "" = the next segment names it
  folder      TEXT NOT NULL,     -- "/" where env_id is ""
  path        TEXT NOT NULL,     -- without slashes at the ends
  kind        TEXT NOT NULL,     -- kv
  version     INTEGER NOT NULL,  -- of the engine: 1 or 2
  description TEXT NOT NULL,
  settings    TEXT NOT NULL,     -- JSON
  created_at  INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX mount_path ON mount (org_id, path) WHERE path <> '';
CREATE INDEX mount_org ON mount (org_id, path);
CREATE UNIQUE INDEX mount_own ON mount (project_id) WHERE path = '';

-- What a folder was as a document: one row for each commit that touched its secrets.
CREATE TABLE document_version (
  folder_id  TEXT NOT NULL REFERENCES folder (id),
  version    INTEGER NOT NULL,   -- from 1
  org_id     TEXT NOT NULL,
  project_id TEXT NOT NULL,
  env_id     TEXT NOT NULL,
  revision   INTEGER NOT NULL,   -- of the environment, whose state of the folder it is
  created_at INTEGER NOT NULL,
  deleted_at INTEGER NOT NULL,   -- 0 = is not; may lie in the future
  destroyed  INTEGER NOT NULL,
  oldest     INTEGER NOT NULL,   -- the lowest version that was kept when this one was made, 0 = all were
  due        INTEGER NOT NULL,   -- when its secrets are to be deleted, 0 = never, or done
  PRIMARY KEY (folder_id, version)
) STRICT;
CREATE INDEX document_version_due ON document_version (due) WHERE due > 0;

-- The states of a folder at a revision are looked for by folder.
CREATE INDEX secret_folder ON secret (folder_id, revision);
CREATE INDEX secret_history_folder ON secret_history (folder_id, revision);
