package main

import (
	"encoding/json"
	"fmt"
	"net/url"
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

// ktImportArgs imports a dotenv file through the CLI.
func ktImportArgs(file string) []string { return []string{"import", file} }

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode a request body: %v", err))
	}
	return b
}
