package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Everything that the benchmark knows about Keyturn's surface is in this file:
// commands, environment, routes and bodies. When one of them changes, change
// it here and nowhere else.

const (
	ktAdmin      = "bench@example.test"
	ktPassword   = "test-value-bench-password" // of a server that lives for one run
	ktProject    = "bench"
	ktReadEnv    = "dev"     // holds the many secrets that are read and written
	ktListEnv    = "staging" // holds exactly listSize secrets
	ktExampleEnv = "prod"    // holds exactly exampleSize secrets

	ktMaxChanges = 10_000 // changes in one commit
	ktReady      = "/readyz"
	ktProjects   = "/keyturn/v1/projects"

	ktRotations = "/keyturn/v1/keys/rotations"

	// In the data folder: where development mode keeps the root key, and the
	// embedded database.
	ktRootFile     = "root.key"
	ktDatabaseFile = "keyturn.db"

	// exampleSize is the number of secrets in the example team's inventory.
	exampleSize = 21
)

func ktServerArgs(dataDir, listen string) []string {
	return []string{"server", "--data", dataDir, "--listen", listen}
}

func ktServerEnv() []string { return []string{"KEYTURN_MODE=development"} }

// ktBootstrapArgs creates the first admin; it prints a JSON object with token.
func ktBootstrapArgs(server, passwordFile string) []string {
	return []string{"bootstrap", "--server", server, "--email", ktAdmin, "--password-file", passwordFile, "--json"}
}

// ktClientEnv is what the CLI reads in place of flags.
func ktClientEnv(server, token, project, env string) []string {
	return []string{
		"KEYTURN_SERVER=" + server, "KEYTURN_TOKEN=" + token,
		"KEYTURN_PROJECT=" + project, "KEYTURN_ENV=" + env, "KEYTURN_PATH=/",
	}
}

func ktAuth(token string) string { return "Authorization: Bearer " + token }

// ktProjectBody makes a project with the environments dev, staging and prod.
func ktProjectBody(slug string) []byte {
	return mustJSON(map[string]string{"slug": slug, "name": slug})
}

func ktSecretPath(project, env, name string) string {
	return ktEnvPath(project, env) + "/secrets/" + url.PathEscape(name) + "?path=/"
}

// ktListPath lists a folder with its values.
func ktListPath(project, env string) string {
	return ktEnvPath(project, env) + "/secrets?path=/&reveal=true"
}

func ktCommitPath(project, env string) string { return ktEnvPath(project, env) + "/commits" }

func ktEnvPath(project, env string) string {
	return ktProjects + "/" + project + "/envs/" + env
}

// ktDocumentPath is a folder as a document of the Vault view.
func ktDocumentPath(project, env, folder string) string {
	return "/v1/" + project + "/data/" + env + "/" + folder
}

// ktInfisicalList lists a folder as clients of Infisical do.
func ktInfisicalList(project, env, path string) string {
	return "/api/v3/secrets/raw?workspaceSlug=" + project + "&environment=" + env + "&secretPath=" + url.QueryEscape(path)
}

// ktChange is one change of a commit.
type ktChange struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Name  string `json:"name"`
	Value string `json:"value"`
}

func ktSet(name, value string) ktChange {
	return ktChange{Op: "set", Path: "/", Name: name, Value: value}
}

func ktCommitBody(message string, changes []ktChange) []byte {
	return mustJSON(map[string]any{"message": message, "changes": changes})
}

// ktDatabase makes the server use PostgreSQL.
func ktDatabase(address string) []string { return []string{"KEYTURN_DATABASE_URL=" + address} }

// ktRotation begins the turn of one key, at most rate envelopes a second; 0 is
// as fast as readers allow.
func ktRotation(layer, project string, rate int) []byte {
	return mustJSON(map[string]any{"layer": layer, "project": project, "rate": rate})
}

func ktTurnPath(id string) string { return "/keyturn/v1/keys/turns/" + id }

// ktTurn is what a rotation and a look at a turn tell.
type ktTurn struct {
	ID        string    `json:"id"`
	Stage     string    `json:"stage"`
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at"`
	Done      int64     `json:"done"`
	Problem   string    `json:"problem"`
	Census    string    `json:"census"` // signed note, once nothing is left
}

// ktCensusTime finds when a census was taken: its line "time MILLISECONDS".
func ktCensusTime(census string) (time.Time, error) {
	for line := range strings.Lines(census) {
		if text, ok := strings.CutPrefix(line, "time "); ok {
			ms, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			return time.UnixMilli(ms), err
		}
	}
	return time.Time{}, errors.New("the census has no time")
}

// ktNewRootArgs makes a root key in a new file, with a slot for it that it
// proves itself beside the root key with the fingerprint replaces.
// ktOldRootArgs removes a slot and waits for the census.
func ktNewRootArgs(file, replaces string) []string {
	return []string{"keys", "rotate", "root", "--out", file, "--kind", "file", "--replaces", replaces, "--json"}
}

func ktOldRootArgs(slot string) []string {
	return []string{"keys", "slot", "remove", slot, "--force", "--yes", "--wait", "--json"}
}

// ktSlotsArgs lists slots as a JSON object with slots, each with id and
// root_fingerprint.
func ktSlotsArgs() []string { return []string{"keys", "slots", "--json"} }

// ktImportArgs imports a dotenv file through the CLI.
func ktImportArgs(file string) []string { return []string{"import", file} }

// ktMigrateArgs moves the mount secret of a Vault into a project.
func ktMigrateArgs(project string) []string {
	return []string{"migrate", "vault", "--only", "secret", "--into", project, "--yes"}
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode a request body: %v", err))
	}
	return b
}
