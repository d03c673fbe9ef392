-- How tags of a project look in views that give them an id, a name and a colour. What a secret carries is the slug alone, so a tag
-- without a row here is one all the same.
CREATE TABLE project_tag (
  id         TEXT NOT NULL PRIMARY KEY,
  org_id     TEXT NOT NULL REFERENCES org (id),
  project_id TEXT NOT NULL REFERENCES project (id),
  slug       TEXT NOT NULL,
  name       TEXT NOT NULL,
  color      TEXT NOT NULL,     -- as the client wrote it; "" = none
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX project_tag_slug ON project_tag (project_id, slug);
