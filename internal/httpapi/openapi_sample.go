package httpapi

import (
	stdjson "encoding/json"
	"reflect"
	"slices"
	"time"

	"github.com/keyturn/keyturn/api"
)

// Ids, hashes and texts of the examples. They have the form of real ones and belong to nothing.
const (
	sampleProject  = "0198c0de-0000-7000-8000-000000000001"
	sampleEnv      = "0198c0de-0000-7000-8000-000000000002"
	sampleSecret   = "0198c0de-0000-7000-8000-000000000003"
	sampleCommit   = "0198c0de-0000-7000-8000-000000000004"
	sampleUser     = "0198c0de-0000-7000-8000-000000000005"
	sampleIdentity = "0198c0de-0000-7000-8000-000000000006"
	sampleToken    = "0198c0de-0000-7000-8000-000000000007"
	sampleOrg      = "0198c0de-0000-7000-8000-000000000008"
	sampleGrant    = "0198c0de-0000-7000-8000-000000000009"
	sampleRequest  = "0198c0de-0000-7000-8000-00000000000a"
	sampleInstance = "0198c0de-0000-7000-8000-00000000000b"
	sampleSlot     = "0198c0de-0000-7000-8000-00000000000c"
	sampleTurn     = "0198c0de-0000-7000-8000-00000000000d"
	sampleKey      = "0198c0de-0000-7000-8000-00000000000e"
	sampleOldKey   = "0198c0de-0000-7000-8000-00000000000f"
	sampleHash     = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="                     // SHA-256 of nothing
	sampleHex      = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" // the same
	sampleMail     = "dev@example.test"
)

// sampleOf gives an example answer of a type, nil when there is none. Rows of the table say what is asked; what comes back
// is the same wherever a type comes back, so it is said here once.
func sampleOf(t reflect.Type) any {
	for _, x := range slices.Concat(samples(), peopleSamples(), policySamples(), approvalSamples(), ssoSamples(), mountSamples(), transitSamples()) {
		if reflect.TypeOf(x) == t {
			return x
		}
	}
	return nil
}

func samples() []any {
	day := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	later := day.AddDate(0, 3, 0)
	scope := api.Scope{ProjectID: sampleProject, EnvID: sampleEnv, Path: "/backend", Actions: []string{"list", "read"}}
	token := api.TokenInfo{ID: sampleToken, Name: "ci", Kind: "ktk_", PrincipalKind: "user", PrincipalID: sampleUser, Scopes: []api.Scope{scope}, CreatedAt: day, ExpiresAt: later}
	identity := api.Identity{ID: sampleIdentity, Name: "backend", TokenTTL: "1h0m0s", CreatedAt: day}
	clientSecret := api.ClientSecret{ID: sampleToken, Name: "first", ClientID: sampleIdentity, CreatedAt: day, ExpiresAt: &later}
	user := api.User{ID: sampleUser, Email: sampleMail, Name: "Developer", CreatedAt: day}
	grant := api.Grant{ID: sampleGrant, PrincipalKind: "identity", PrincipalID: sampleIdentity, ProjectID: sampleProject, EnvID: sampleEnv, Role: "developer", CreatedAt: day}
	env := api.Env{ID: sampleEnv, Slug: "prod", Name: "prod", Revision: 7, CreatedAt: day}
	project := api.Project{ID: sampleProject, Slug: "shop", Name: "Shop", CreatedAt: day, Envs: []api.Env{env}}
	listed := api.Secret{ID: sampleSecret, Path: "/backend", Name: "DATABASE_URL", Version: 3, Revision: 7, ChangedAt: day, DueAt: &later,
		Attributes: api.Attributes{Owner: "backend", Tags: []string{"database"}, RotateEvery: "90d", RotatedAt: &day}}
	shown := listed
	shown.Value = &api.Value{Value: "postgres://shop:test-value@db.example.test/shop"}
	commit := api.Commit{ID: sampleCommit, Revision: 7, AuthorKind: "user", AuthorID: sampleUser, Author: sampleMail, At: day, Message: "new password", Cause: "person", Changes: 1}
	checkpoint := api.Checkpoint{
		Checkpoint: "keyturn.dev/log/" + sampleInstance + "\n412\n" + sampleHash + "\n\n\u2014 keyturn.dev/log/" + sampleInstance + " test-value\n",
		Key:        "keyturn.dev/log/" + sampleInstance + "+00000000+test-value",
	}
	entry := stdjson.RawMessage(`{"action":"secret.read","at":"2026-03-02T09:30:00.000Z","keys":["/backend/DATABASE_URL"],"outcome":"allowed"}`)
	slot := api.KeySlot{ID: sampleSlot, Kind: "file", Source: "env:KEYTURN_ROOT_KEY_FILE", Fingerprint: "0000-0000-0000-0000", KeyID: sampleKey, CreatedAt: day, ProvedAt: day,
		Unlocked: true, Reachable: true}
	stream := api.Stream{ID: sampleGrant, Name: "siem", Kind: "webhook", Settings: map[string]string{"url": "https://siem.example.com/keyturn"}, CreatedAt: day, Position: 412}
	consumer := api.Consumer{Kind: "identity", ID: sampleIdentity, Name: "worker-3", Address: "198.51.100.7", Agent: "keyturn-go", Version: 6, FirstSeen: day, LastSeen: day, Reads: 42}
	rule := api.AlertRule{ID: "bulk-export", Means: "one principal read many different values in a short time", Enabled: true, Severity: "critical", Threshold: 500, Within: "10m0s", Quiet: "1h0m0s"}
	channel := api.AlertChannel{ID: sampleGrant, Name: "ops", Kind: "slack", Place: "hooks.slack.com", Settings: map[string]string{}, Severity: "warning", CreatedAt: day, CreatedBy: sampleMail}
	letter := api.AlertDelivery{ID: sampleGrant, Channel: "ops", Title: "worker-3 read 500 different values or more within 10m0s", State: "sent", Attempts: 1, CreatedAt: day, DoneAt: &day}
	decoy := api.Canary{ID: sampleGrant, Kind: "token", Place: "laptop cache", CreatedAt: day}
	turn := api.KeyTurn{ID: sampleTurn, Layer: "project", ProjectID: sampleProject, Project: "shop", Old: sampleOldKey, New: sampleKey, Stage: "moving", Cause: "hand",
		By: sampleMail, StartedAt: day, Done: 12, Total: 31, PerSecond: 5200}
	backup := api.Backup{Name: "2026-03-02t09-30-00z-3-5f3a.ktb.age", CreatedAt: day, Bytes: 1482752, Digest: sampleHex, Content: sampleHex, Recipients: []string{"0000-0000-0000-0000"},
		Schema: 3, Epoch: 3, LogSize: 412, Rows: 930, Secrets: 31, Seconds: 0.4, VerifiedAt: day, Where: "place"}
	passkey := api.Passkey{ID: sampleKey, Name: "laptop", Transports: []string{"internal"}, CreatedAt: day, LastUsedAt: &later}
	return append(machineSamples(token, day, later), []any{
		api.PasskeyOptions{Options: `{"challenge":"AAEC","rpId":"keyturn.example.test","userVerification":"required"}`},
		passkey, api.Passkeys{Passkeys: []api.Passkey{passkey}},
		api.Problem{Type: "https://keyturn.dev/docs/reference/errors#not_found", Title: "Not found", Status: 404, Detail: "no such thing, or no right to see it", Kind: "not_found",
			Hint: "check project, environment, path and name, and that your token reaches them", Instance: sampleRequest},
		api.Done{Done: true},
		api.Setup{Token: "kts_test-value", UserID: sampleUser, OrganizationID: sampleOrg},
		api.Session{Token: "kts_test-value", ID: sampleToken, Name: sampleMail, ExpiresAt: later},
		api.Principal{Kind: "user", ID: sampleUser, Name: sampleMail, Organization: sampleOrg, TokenID: sampleToken, ExpiresAt: &later, Grants: []api.Role{{ProjectID: sampleProject, Role: "developer"}}},
		api.NewToken{Token: "ktk_test-value", TokenInfo: token},
		api.Tokens{Tokens: []api.TokenInfo{token}},
		identity, api.Identities{Identities: []api.Identity{identity}},
		func() api.ClientSecret { c := clientSecret; c.Secret = "ktc_test-value"; return c }(),
		api.ClientSecrets{ClientSecrets: []api.ClientSecret{clientSecret}},
		user, api.Users{Users: []api.User{user}},
		grant, api.Grants{Grants: []api.Grant{grant}},
		env, project, api.Projects{Projects: []api.Project{project}},
		shown, api.Secrets{Revision: 7, Secrets: []api.Secret{listed}, Folders: []string{"/backend"}},
		api.History{States: []api.State{{Secret: listed, Commit: commit}}},
		api.Committed{ID: sampleCommit, Revision: 8, Effects: []api.Effect{{Path: "/backend", Name: "LOG_LEVEL", Outcome: "added", Version: 1}}},
		api.Commits{Commits: []api.Commit{commit}, Next: 7},
		api.Schema{Path: "/backend", Required: []string{"DATABASE_URL", "REDIS_URL"}, Names: []api.Requirement{{Name: "DATABASE_URL", Owner: "backend"}, {Name: "REDIS_URL", Missing: true}}},
		api.Example{Text: "# backend\nDATABASE_URL=\n"},
		api.Event{Seq: 91, Kind: "commit", Project: sampleProject, Env: sampleEnv, Revision: 8},
		api.Diff{Differences: []api.Difference{{Path: "/backend", Name: "DATABASE_URL", Outcome: "added", To: &listed}}},
		api.Found{Secrets: []api.Located{{Project: "shop", Env: "prod", Secret: listed}}},
		api.Entries{Size: 412, Entries: []api.Entry{{Index: 411, Entry: entry}}, Next: ptr(int64(411))},
		checkpoint,
		api.InclusionProof{Index: 411, Entry: entry, Proof: []string{sampleHash}, Checkpoint: checkpoint},
		api.ConsistencyProof{OldSize: 400, Proof: []string{sampleHash}, Checkpoint: checkpoint},
		api.LogPage{From: 411, Size: 412, Entries: []stdjson.RawMessage{entry}},
		api.Verification{Size: 412, Root: sampleHash, Deep: true, Rows: 96, Values: 31, Problems: []api.Finding{}, Checkpoint: checkpoint},
		api.Status{Version: "v1.0.0", Mode: "production", Store: "sqlite", InstanceID: sampleInstance, StartedAt: day, LogSize: 412, Fingerprint: "0000-0000-0000-0000", OfflineMaxAge: "24h0m0s",
			Keys: []api.Key{{ID: sampleToken, Layer: "project", ProjectID: sampleProject, Generation: 1, State: "primary", CreatedAt: day}}},
		api.KeysStatus{Epoch: 3, Keys: []api.Key{{ID: sampleKey, Layer: "project", ProjectID: sampleProject, Generation: 2, State: "primary", CreatedAt: day}},
			Slots: []api.KeySlot{slot}, Running: []api.KeyTurn{turn}, Schedule: []api.KeySchedule{{Layer: "project", Every: "90d", Due: later}}},
		turn, api.KeyTurns{Turns: []api.KeyTurn{turn}}, api.KeyRotated{Turns: []api.KeyTurn{turn}},
		api.KeyCensus{Census: "keyturn census v1\norigin keyturn.dev/log/" + sampleInstance + "\n...", Keys: []string{checkpoint.Key},
			Counts: []api.KeyCount{{Where: "secret.value", KeyID: sampleKey, Layer: "project", State: "primary", Count: 31}}},
		api.KeySlotMade{KeySlot: slot, Challenge: []byte("test-value")},
		backup, api.Backups{Place: "s3://backups/keyturn", Backups: []api.Backup{backup}, Drill: "age1test-value",
			Schedule: api.BackupSchedule{Every: "1d", Keep: "7d,5w,12m", DrillEvery: "7d", NextAt: later, DrillAt: later}},
		api.BackupCheck{Name: backup.Name, Sound: true, Rows: 930, Values: 31, LogSize: 412, LogRoot: sampleHex, Content: sampleHex, Signer: checkpoint.Key, CreatedAt: day, Seconds: 1.2,
			Problems: []api.BackupProblem{}},
		api.Archive{Archived: 200, Segments: []api.ArchiveSegment{{First: 0, Last: 199, From: day, To: day, Place: "s3://backups/keyturn-log", Name: "keyturn.dev-log/segment-0.kts.age", Sealed: true, Bytes: 4096, Digest: sampleHex, ArchivedAt: later}}},
		stream, api.Streams{Streams: []api.Stream{stream}}, api.StreamMade{Stream: stream, Credential: "whsec_test-value"},
		rule, api.AlertRules{Rules: []api.AlertRule{rule}}, api.AlertChannels{Channels: []api.AlertChannel{channel}},
		api.AlertChannelMade{Channel: channel}, letter, api.AlertDeliveries{Deliveries: []api.AlertDelivery{letter}},
		api.Alerts{Alerts: []api.Alert{{ID: sampleGrant, Rule: "bulk-export", Severity: "critical", Title: letter.Title, Facts: []api.AlertFact{{Name: "who", Value: "worker-3"}}, FirstAt: day, LastAt: day, Count: 3, Told: 3}}},
		api.Consumers{Place: "shop/prod:/DATABASE_URL", Version: 7, Behind: 1, Consumers: []api.Consumer{consumer}},
		api.Unused{Days: 90, Secrets: []api.UnusedSecret{{Project: "shop", Env: "prod", Path: "/", Name: "OLD_KEY", ChangedAt: day}}},
		api.Reads{NotRotated: 1, Reads: []api.Read{{SecretID: sampleSecret, Place: "shop/prod:/DATABASE_URL", Version: 7, Current: 7, LastSeen: day}}},
		api.FirstReads{Days: 7, Reads: []api.FirstRead{{Place: "shop/prod:/DATABASE_URL", Consumer: consumer}}},
		api.Canaries{Canaries: []api.Canary{decoy}}, api.CanaryMade{Canary: decoy, Token: "ktk_test-value"},
		api.Checks{Checks: []api.Check{{ID: "mode", Title: "production mode is set", Outcome: "pass", Evidence: "mode is production"}}},
	}...)
}
