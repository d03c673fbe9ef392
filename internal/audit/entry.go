package audit

// The outcomes of an action.
const (
	Allowed = "allowed" // the policy said yes and the action was done
	Refused = "refused" // the policy said no and nothing was done
	Failed  = "failed"  // the policy said yes, but the action could not be done
)

// Bounds of one entry. Encoded bytes are counted, because escaping can make a text six times as long: together they keep
// everything but Keys and Rows well under [MaxEntryBytes], so that [Split] always finds a way.
const (
	// MaxEntryBytes bounds one encoded entry. The length prefix of an entry bundle has 16 bits (C2SP tlog-tiles); the
	// distance to 65,535 leaves room for fields to come.
	MaxEntryBytes = 60000

	maxText    = 1 << 10   // one text; longer ones come from outside (agents, names) and tell nothing more
	maxPath    = 4 << 10   // a path or key; larger than maxText, since two keys must not become one by shortening
	maxDetails = 16        // pairs in Detail; it is for small facts
	maxInteger = 1<<53 - 1 // the largest integer that every JSON reader keeps exact (RFC 8785 section 3.2.2.3)
	maxParts   = 1 << 20   // parts of one event; far above what one bulk read can need
)

// cut marks a text that was shortened to its bound.
const cut = "..."

// Entry is one audit record. Its canonical form is a JSON object with the keys named here, sorted; empty fields are left
// out. No field ever holds a secret value.
type Entry struct {
	ID       string            // "id": UUIDv7 of the event; all parts of a split entry share it
	At       int64             // "at": unix milliseconds
	Action   string            // "action": such as "secret.read"
	Outcome  string            // "outcome": [Allowed], [Refused] or [Failed]
	Reason   string            // "reason": the policy's reason or the kind of fault
	Actor    Actor             // "actor"
	Org      string            // "org": id
	Project  string            // "project": id
	Env      string            // "env": id
	Path     string            // "path": folder path
	Keys     []string          // "keys": full path of every name touched; a bulk read names every key that it returned
	Revision int64             // "revision": of the environment, read or made
	Rows     []Row             // "rows": every deciding row that was written
	Detail   map[string]string // "detail": small extra facts
	Address  string            // "address": where the request came from
	Agent    string            // "agent": what the client calls itself
	Request  string            // "request": request id
	Dialect  string            // "dialect": the API that was spoken
	Part     int               // "part": counts from 1 when the entry is split, else 0
	Parts    int               // "parts": how many parts there are when the entry is split, else 0
}

// Actor is who acted.
type Actor struct {
	Kind  string // "kind": user, identity or system
	ID    string // "id"
	Name  string // "name": as it was at that time
	Token string // "token": id of the token, never the token
}

// Row is the digest of one deciding row after it was written, so that a row put back or made by hand can be found.
type Row struct {
	T string   // "t": table
	K string   // "k": row id
	D [32]byte // "d": digest in lower-case hex; all zero means that the row was removed
}
