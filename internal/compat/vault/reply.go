package vault

import (
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/httpkit"
)

// reply is what an engine answers. The zero reply is 204.
type reply struct {
	data     any // becomes an object; nil is null
	auth     *authInfo
	wrap     *wrapInfo
	warnings []string
	lease    lease
	// copies repeats each member of data beside the envelope, where old clients read some answers of sys.
	copies bool
	// bare is the whole answer, without an envelope.
	bare any
	// status is 0 for 200, or 204 where there is nothing to say. A 404 with data means "known, but deleted".
	status int
	// made is the token that the answer gives. accessor is that of another credential in it. A wrapped answer names them.
	made     *access.Token
	accessor string
	// sent says that the engine has written to the client itself: a stream.
	sent bool
}

// lease is how long what was answered holds.
type lease struct {
	id        string
	renewable bool
	duration  time.Duration
}

// authInfo is what a login gives.
type authInfo struct {
	ClientToken      string            `json:"client_token"`
	Accessor         string            `json:"accessor"`
	Policies         []string          `json:"policies"`
	TokenPolicies    []string          `json:"token_policies"`
	IdentityPolicies []string          `json:"identity_policies,omitempty"`
	Metadata         map[string]string `json:"metadata"`
	LeaseDuration    int64             `json:"lease_duration"` // seconds
	Renewable        bool              `json:"renewable"`
	EntityID         string            `json:"entity_id"`
	TokenType        string            `json:"token_type"`
	Orphan           bool              `json:"orphan"`
	MFARequirement   *struct{}         `json:"mfa_requirement"`
	NumUses          int64             `json:"num_uses"`
}

// wrapInfo says where a wrapped answer lies.
type wrapInfo struct {
	Token           string `json:"token"`
	Accessor        string `json:"accessor"`
	TTL             int64  `json:"ttl"` // seconds
	CreationTime    string `json:"creation_time"`
	CreationPath    string `json:"creation_path"`
	WrappedAccessor string `json:"wrapped_accessor,omitempty"`
}

// envelope is around every answer with something in it. All of it is always there: clients decode it by name.
type envelope struct {
	RequestID     string         `json:"request_id"`
	LeaseID       string         `json:"lease_id"`
	Renewable     bool           `json:"renewable"`
	LeaseDuration int64          `json:"lease_duration"`
	Data          jsontext.Value `json:"data"`
	WrapInfo      *wrapInfo      `json:"wrap_info"`
	Warnings      []string       `json:"warnings"`
	Auth          *authInfo      `json:"auth"`
}

// envelope gives the whole answer as JSON.
func (a *reply) envelope(request string) ([]byte, error) {
	e := envelope{RequestID: request, LeaseID: a.lease.id, Renewable: a.lease.renewable, LeaseDuration: int64(a.lease.duration / time.Second),
		Data: jsontext.Value("null"), WrapInfo: a.wrap, Warnings: a.warnings, Auth: a.auth}
	if a.data != nil {
		raw, err := json.Marshal(a.data, json.Deterministic(true))
		if err != nil {
			return nil, err
		}
		e.Data = raw
	}
	out, err := json.Marshal(e, json.FormatNilSliceAsNull(true), json.FormatNilMapAsNull(true))
	if err != nil || !a.copies || len(e.Data) < 2 || e.Data.Kind() != '{' {
		return out, err
	}
	members := strings.TrimSuffix(string(e.Data[1:]), "}")
	if members == "" {
		return out, nil
	}
	return append(append(out[:len(out)-1], ','), members+"}"...), nil
}

// empty tells that there is nothing to say.
func (a *reply) empty() bool {
	return a.bare == nil && a.data == nil && a.auth == nil && a.wrap == nil && a.warnings == nil && a.lease == (lease{})
}

// write sends the reply.
func (a *reply) write(w http.ResponseWriter, r *http.Request) {
	if a == nil {
		a = &reply{}
	}
	if a.sent {
		return
	}
	w.Header()["Content-Type"] = jsonType
	if a.empty() {
		if a.status == 0 {
			a.status = http.StatusNoContent
		}
		w.WriteHeader(a.status)
		return
	}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	var body []byte
	var err error
	if a.bare != nil {
		body, err = json.Marshal(a.bare, json.Deterministic(true))
	} else {
		request := httpkit.RequestID(r.Context())
		if a.wrap != nil {
			request = ""
		}
		body, err = a.envelope(request)
	}
	if err != nil {
		fail(w, r, err)
		return
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(body)
}

var jsonType = []string{"application/json"}

// stamp gives a time as the dialect writes it, "" for none.
func stamp(ms int64) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format(time.RFC3339Nano)
}
