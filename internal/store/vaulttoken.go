package store

import (
	"context"
	"slices"

	"github.com/keyturn/keyturn/internal/domain"
)

// TokenRole is a template for tokens.
type TokenRole struct {
	ID        string            `db:"id,key"`
	Org       domain.OrgID      `db:"org_id"`
	Name      string            `db:"name"`
	Settings  TokenRoleSettings `db:"settings,json"`
	CreatedAt int64             `db:"created_at"`
}

// TokenRoleSettings are what a [TokenRole] says of the tokens that it makes. Times are milliseconds.
type TokenRoleSettings struct {
	Allowed         []string `json:"allowed,omitempty"`          // names of policies; none = those of the maker
	AllowedGlobs    []string `json:"allowed_globs,omitempty"`    // '*' stands for any characters
	Disallowed      []string `json:"disallowed,omitempty"`       // names of policies that it never gives
	DisallowedGlobs []string `json:"disallowed_globs,omitempty"` // '*' stands for any characters
	NoDefault       bool     `json:"no_default,omitempty"`
	Orphan          bool     `json:"orphan,omitempty"`
	NotRenewable    bool     `json:"not_renewable,omitempty"`
	Period          int64    `json:"period,omitempty"`
	ExplicitMax     int64    `json:"explicit_max,omitempty"`
	Uses            int64    `json:"uses,omitempty"`
	Networks        []string `json:"networks,omitempty"` // CIDR
	PathSuffix      string   `json:"path_suffix,omitempty"`
	Type            string   `json:"type,omitempty"` // as Vault writes it; "" = default-service
}

// Cubby is one thing that a token keeps for itself. The content is the instance secret that [CubbySecret] names.
type Cubby struct {
	ID    string         `db:"id,key"`
	Org   domain.OrgID   `db:"org_id"`
	Token domain.TokenID `db:"token_id"`
	Path  string         `db:"path"`
	Size  int64          `db:"size"` // bytes of the content
	At    int64          `db:"at"`
}

// CubbySecret names the instance secret that holds the content of a [Cubby].
func CubbySecret(id string) string { return "cubbyhole." + id }

var (
	tokenRoles = newTable[TokenRole]("token_role", true)
	cubbies    = newTable[Cubby]("cubbyhole", true)
)

// EndToken revokes a token in the transaction, with all that end with it: the tokens that it made and those that they made, and
// what each keeps for itself. It gives how many tokens ended, and nothing happens when the token was revoked before.
func (tx *Tx) EndToken(ctx context.Context, row *Token) (int, error) {
	if row.RevokedAt != 0 {
		return 0, nil
	}
	ended, err := tx.Family(ctx, row)
	if err != nil {
		return 0, err
	}
	ended = append([]Token{*row}, ended...)
	rows := make([]*Token, len(ended))
	for i := range ended {
		ended[i].RevokedAt = tx.now
		rows[i] = &ended[i]
		if err := tx.RemoveCubbies(ctx, ended[i].ID); err != nil {
			return 0, err
		}
	}
	row.RevokedAt = tx.now
	return len(rows), tokens.put(ctx, tx, rows...)
}

// Family lists the tokens that end with one: its children and theirs, those that are revoked left out.
func (q Queries) Family(ctx context.Context, row *Token) ([]Token, error) {
	root := row.Family
	if root == "" {
		root = row.ID
	}
	all, err := tokens.list(ctx, q.q, "WHERE family <> '' AND revoked_at = 0 AND family = ? ORDER BY id", string(root))
	if err != nil || len(all) == 0 {
		return nil, err
	}
	children := map[domain.TokenID][]int{}
	for i := range all {
		children[all[i].Parent] = append(children[all[i].Parent], i)
	}
	var out []Token
	for open := []domain.TokenID{row.ID}; len(open) > 0; open = open[1:] {
		for _, i := range children[open[0]] {
			out = append(out, all[i])
			open = append(open, all[i].ID)
		}
		delete(children, open[0]) // rows that were tampered with may go in a circle
	}
	return out, nil
}

// FamilySize counts the tokens of a family that are not revoked.
func (q Queries) FamilySize(ctx context.Context, root domain.TokenID) (int64, error) {
	return q.count(ctx, "SELECT count(*) FROM token WHERE family <> '' AND revoked_at = 0 AND family = ?", string(root))
}

// OutlivedTokens lists up to limit tokens whose parent, with which they end, has expired.
func (q Queries) OutlivedTokens(ctx context.Context, now, limit int64) ([]Token, error) {
	return tokens.list(ctx, q.q, `WHERE family <> '' AND revoked_at = 0 AND EXISTS
		(SELECT 1 FROM token AS p WHERE p.id = token.parent AND (p.revoked_at <> 0 OR p.expires_at <> 0 AND p.expires_at <= ?)) ORDER BY id LIMIT ?`, now, limit)
}

// LiveTokens lists up to limit tokens of an organisation that have not ended by themselves or by hand, the oldest first.
func (q Queries) LiveTokens(ctx context.Context, org domain.OrgID, now, limit int64) ([]Token, error) {
	return tokens.list(ctx, q.q, "WHERE org_id = ? AND revoked_at = 0 AND (expires_at = 0 OR expires_at > ?) ORDER BY id LIMIT ?", string(org), now, limit)
}

// TokenRoles lists those of an organisation.
func (q Queries) TokenRoles(ctx context.Context, org domain.OrgID) ([]TokenRole, error) {
	return tokenRoles.list(ctx, q.q, "WHERE org_id = ? ORDER BY name", string(org))
}

// TokenRole finds one by name.
func (q Queries) TokenRole(ctx context.Context, org domain.OrgID, name string) (TokenRole, error) {
	return tokenRoles.one(ctx, q.q, "WHERE org_id = ? AND name = ?", string(org), name)
}

// PutTokenRole stores one.
func (tx *Tx) PutTokenRole(ctx context.Context, row *TokenRole) error {
	return tokenRoles.put(ctx, tx, row)
}

// RemoveTokenRole removes one. The tokens that it made stay.
func (tx *Tx) RemoveTokenRole(ctx context.Context, row *TokenRole) error {
	return tokenRoles.remove(ctx, tx, row)
}

// Cubbies lists what a token keeps, by path.
func (q Queries) Cubbies(ctx context.Context, token domain.TokenID) ([]Cubby, error) {
	return cubbies.list(ctx, q.q, "WHERE token_id = ? ORDER BY path", string(token))
}

// PutCubby stores one.
func (tx *Tx) PutCubby(ctx context.Context, row *Cubby) error { return cubbies.put(ctx, tx, row) }

// RemoveCubby removes one with its content.
func (tx *Tx) RemoveCubby(ctx context.Context, row *Cubby) error {
	if err := tx.RemoveInstanceSecret(ctx, CubbySecret(row.ID)); err != nil {
		return err
	}
	return cubbies.remove(ctx, tx, row)
}

// RemoveCubbies removes all that a token keeps.
func (tx *Tx) RemoveCubbies(ctx context.Context, token domain.TokenID) error {
	rows, err := tx.Cubbies(ctx, token)
	if err != nil {
		return err
	}
	for i := range rows {
		if err := tx.RemoveCubby(ctx, &rows[i]); err != nil {
			return err
		}
	}
	return nil
}

// eraseCubbies does so for all tokens.
func (tx *Tx) eraseCubbies(ctx context.Context) error {
	rows, err := cubbies.list(ctx, tx, "ORDER BY id")
	if err != nil {
		return err
	}
	for i := range rows {
		if err := tx.RemoveCubby(ctx, &rows[i]); err != nil {
			return err
		}
	}
	return nil
}

// EndedCubbies lists up to limit tokens that have ended and still keep something.
func (q Queries) EndedCubbies(ctx context.Context, now, limit int64) ([]domain.TokenID, error) {
	rows, err := cubbies.list(ctx, q.q, `WHERE NOT EXISTS
		(SELECT 1 FROM token AS t WHERE t.id = cubbyhole.token_id AND t.revoked_at = 0 AND (t.expires_at = 0 OR t.expires_at > ?)) ORDER BY id LIMIT ?`, now, limit)
	var out []domain.TokenID
	for _, row := range rows {
		if !slices.Contains(out, row.Token) {
			out = append(out, row.Token)
		}
	}
	return out, err
}

// OpenWraps counts the values that one principal has wrapped and nobody has opened.
func (q Queries) OpenWraps(ctx context.Context, principal string) (int64, error) {
	return q.count(ctx, "SELECT count(*) FROM wrapped WHERE opened_at = 0 AND erased_at = 0 AND created_by = ?", principal)
}
