package postgres

import "testing"

func TestTheSchemaIsTranslatedWordByWord(t *testing.T) {
	for text, want := range map[string]string{
		"  id TEXT NOT NULL PRIMARY KEY,":  "  id TEXT COLLATE \"C\" NOT NULL PRIMARY KEY,",
		"  data BLOB, n INTEGER NOT NULL":  "  data BYTEA, n BIGINT NOT NULL",
		") STRICT;":                        ");",
		"CREATE TABLE texts (blob_count x": "CREATE TABLE texts (blob_count x",
		"BEGIN ISOLATION LEVEL":            "BEGIN ISOLATION LEVEL",
	} {
		if got := schema(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}
