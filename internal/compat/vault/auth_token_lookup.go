package vault

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
)

// lookUpToken answers what is known of a token.
func (s *Surface) lookUpToken(ctx context.Context, c *call, which access.Which) (*reply, error) {
	known, err := s.Access.LookUp(ctx, which)
	if errors.Is(err, access.ErrNoToken) {
		words := "bad token"
		if which.Accessor != "" {
			words = "invalid accessor"
		}
		return nil, &shaped{status: http.StatusForbidden, messages: []string{words}, cause: err}
	}
	if err != nil {
		return nil, err
	}
	id := which.Token
	if id == "" && which.Accessor == "" {
		id = c.token
	}
	return &reply{data: tokenData(known, id, time.Now())}, nil
}

// tokenData shows a token as lookups do. Times are whole seconds.
func tokenData(known access.Known, id string, now time.Time) map[string]any {
	row := known.Row
	kind := typeService
	if row.Batch {
		kind = typeBatch
	}
	made := row.TTL
	if made == 0 && row.ExpiresAt != 0 {
		made = row.ExpiresAt - row.CreatedAt
	}
	data := map[string]any{
		"accessor": access.Accessor(row), "creation_time": row.CreatedAt / 1000, "creation_ttl": made / 1000, "display_name": displayName(row),
		"entity_id": row.PrincipalID, "expire_time": nil, "explicit_max_ttl": row.ExplicitMax / 1000, "id": id, "issue_time": stamp(row.CreatedAt), "meta": nil,
		"num_uses": known.UsesLeft, "orphan": row.Family == "", "path": madeBy(row), "policies": known.Policies, "renewable": access.Renewable(row), "ttl": int64(0), "type": kind,
	}
	if row.Meta != nil {
		data["meta"] = row.Meta
	}
	if known.End != 0 {
		data["expire_time"], data["ttl"] = stamp(known.End), max((known.End-now.UnixMilli()+999)/1000, 1) // 0 would mean for ever
	}
	if row.RenewedAt != 0 {
		data["last_renewal"], data["last_renewal_time"] = stamp(row.RenewedAt), row.RenewedAt/1000
	}
	if row.Period != 0 {
		data["period"] = row.Period / 1000
	}
	if row.TokenRole != "" {
		data["role"] = row.TokenRole
	}
	if row.Networks != nil {
		data["bound_cidrs"] = row.Networks
	}
	return data
}

var unfit = regexp.MustCompile(`[^a-zA-Z0-9-]`)

// displayName is what people see of a token, also of one that no Vault client has made.
func displayName(row access.Token) string {
	switch {
	case row.Display != "":
		return row.Display
	case row.Method != "" && row.Name == "login":
		return unfit.ReplaceAllString(row.Method, "-")
	}
	return strings.TrimSuffix(unfit.ReplaceAllString("token-"+row.Name, "-"), "-")
}

// madeBy is the route that a Vault client would have made the token by.
func madeBy(row access.Token) string {
	switch {
	case row.Path != "":
		return row.Path
	case row.Kind == domain.APIToken:
		return "auth/token/create"
	}
	return "auth/" + unfit.ReplaceAllString(row.Method, "-") + "/login"
}
