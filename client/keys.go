package client

import (
	"context"
	"net/url"
	"strconv"

	"github.com/keyturn/keyturn/api"
)

// Keys tells how keys, slots and turns stand.
func (c *Client) Keys(ctx context.Context) (api.KeysStatus, error) {
	return call[api.KeysStatus](ctx, c, request{method: "GET", path: "/keys"})
}

// RotateKeys turns keys, or tells what that would do. It returns when the turns run; [Client.KeyTurn] tells how far they are.
func (c *Client) RotateKeys(ctx context.Context, r api.KeyRotation) (api.KeyRotated, error) {
	return call[api.KeyRotated](ctx, c, request{method: "POST", path: "/keys/rotations", body: r})
}

// KeyTurns lists the turns of all keys, newest first; limit 0 is the server's default.
func (c *Client) KeyTurns(ctx context.Context, limit int64) (api.KeyTurns, error) {
	q := values{}.number("limit", limit)
	return call[api.KeyTurns](ctx, c, request{method: "GET", path: "/keys/turns", query: url.Values(q)})
}

// KeyTurn shows one turn.
func (c *Client) KeyTurn(ctx context.Context, id string) (api.KeyTurn, error) {
	return call[api.KeyTurn](ctx, c, request{method: "GET", path: path("keys", "turns", id)})
}

// PauseKeyTurn holds a turn, or lets it go on.
func (c *Client) PauseKeyTurn(ctx context.Context, id string, paused bool) (api.KeyTurn, error) {
	verb := "resume"
	if paused {
		verb = "pause"
	}
	return call[api.KeyTurn](ctx, c, request{method: "POST", path: path("keys", "turns", id, verb)})
}

// FinishKeyTurn ends the overlap of a turn now.
func (c *Client) FinishKeyTurn(ctx context.Context, id string) (api.KeyTurn, error) {
	return call[api.KeyTurn](ctx, c, request{method: "POST", path: path("keys", "turns", id, "finish")})
}

// KeyCensus gives a signed count of all envelopes by key: as they are now, or the one that ended a turn.
func (c *Client) KeyCensus(ctx context.Context, turn string) (api.KeyCensus, error) {
	q := values{}.text("turn", turn)
	return call[api.KeyCensus](ctx, c, request{method: "GET", path: "/keys/census", query: url.Values(q)})
}

// AddKeySlot adds a way to unlock the instance.
func (c *Client) AddKeySlot(ctx context.Context, r api.KeySlotRequest) (api.KeySlotMade, error) {
	return call[api.KeySlotMade](ctx, c, request{method: "POST", path: "/keys/slots", body: r})
}

// TestKeySlot proves that a slot still opens. Without an answer the server tests it itself or gives a challenge.
func (c *Client) TestKeySlot(ctx context.Context, id string, answer []byte) (api.KeySlotMade, error) {
	return call[api.KeySlotMade](ctx, c, request{method: "POST", path: path("keys", "slots", id, "test"), body: api.KeySlotAnswer{Answer: answer}})
}

// RemoveKeySlot takes a way to unlock away, for good.
func (c *Client) RemoveKeySlot(ctx context.Context, id string, force bool) (api.KeyTurn, error) {
	return call[api.KeyTurn](ctx, c, request{method: "DELETE", path: path("keys", "slots", id), query: url.Values{"force": {strconv.FormatBool(force)}}})
}
