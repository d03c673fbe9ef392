package httpapi

import (
	"context"
	"net/http"

	"github.com/keyturn/keyturn/api"
)

// Keys turns keys and keeps slots.
type Keys interface {
	Status(ctx context.Context) (api.KeysStatus, error)
	History(ctx context.Context, limit int64) (api.KeyTurns, error)
	Turn(ctx context.Context, id string) (api.KeyTurn, error)
	Census(ctx context.Context, turn string) (api.KeyCensus, error)
	Rotate(ctx context.Context, r api.KeyRotation) (api.KeyRotated, error)
	Pause(ctx context.Context, id string, paused bool) (api.KeyTurn, error)
	Finish(ctx context.Context, id string) (api.KeyTurn, error)
	AddSlot(ctx context.Context, r api.KeySlotRequest) (api.KeySlotMade, error)
	TestSlot(ctx context.Context, id string, answer []byte) (api.KeySlotMade, error)
	RemoveSlot(ctx context.Context, id string, force bool) (api.KeyTurn, error)
}

type turnParam struct {
	ID string `path:"id" doc:"of the turn"`
}

type slotParam struct {
	ID string `path:"id" doc:"of the slot"`
}

type removeSlotParams struct {
	ID    string `path:"id" doc:"of the slot"`
	Force bool   `query:"force" doc:"also when the server could not unlock by itself afterwards"`
}

type censusParam struct {
	Turn string `query:"turn" doc:"the census that ended this turn, instead of a new count"`
}

type historyParam struct {
	Limit int64 `query:"limit" doc:"at most so many, up to 1000"`
}

func keyRoutes() []Route {
	return []Route{
		with(Route{Method: "GET", Path: "/keys", Auth: Token, Action: "instance.read", Summary: "Tell how keys, slots and turns stand.", Example: api.KeysStatus{}},
			func(c *call, _ *none, _ *none) (api.KeysStatus, error) { return c.Keys.Status(c.ctx) }),
		with(Route{Method: "POST", Path: "/keys/rotations", Auth: Token, Action: "keys.manage", Summary: "Turn keys, or tell what that would do.", MaxBody: smallBody, Status: http.StatusAccepted,
			Example: api.KeyRotation{Layer: "project", Project: "shop"}},
			func(c *call, _ *none, b *api.KeyRotation) (api.KeyRotated, error) { return c.Keys.Rotate(c.ctx, *b) }),
		with(Route{Method: "GET", Path: "/keys/turns", Auth: Token, Action: "instance.read", Summary: "List the turns of all keys, newest first.", Example: api.KeyTurns{}},
			func(c *call, p *historyParam, _ *none) (api.KeyTurns, error) { return c.Keys.History(c.ctx, p.Limit) }),
		with(Route{Method: "GET", Path: "/keys/turns/{id}", Auth: Token, Action: "instance.read", Summary: "Show one turn.", Example: api.KeyTurn{}},
			func(c *call, p *turnParam, _ *none) (api.KeyTurn, error) { return c.Keys.Turn(c.ctx, p.ID) }),
		with(Route{Method: "POST", Path: "/keys/turns/{id}/pause", Auth: Token, Action: "keys.manage", Summary: "Hold a turn.", Example: api.KeyTurn{}},
			func(c *call, p *turnParam, _ *none) (api.KeyTurn, error) { return c.Keys.Pause(c.ctx, p.ID, true) }),
		with(Route{Method: "POST", Path: "/keys/turns/{id}/resume", Auth: Token, Action: "keys.manage", Summary: "Let a turn go on.", Example: api.KeyTurn{}},
			func(c *call, p *turnParam, _ *none) (api.KeyTurn, error) { return c.Keys.Pause(c.ctx, p.ID, false) }),
		with(Route{Method: "POST", Path: "/keys/turns/{id}/finish", Auth: Token, Action: "keys.manage", Summary: "End the overlap of a turn now.", Example: api.KeyTurn{}},
			func(c *call, p *turnParam, _ *none) (api.KeyTurn, error) { return c.Keys.Finish(c.ctx, p.ID) }),
		with(Route{Method: "GET", Path: "/keys/census", Auth: Token, Action: "instance.read", Summary: "Count every envelope by key and sign the count.", Example: api.KeyCensus{}},
			func(c *call, p *censusParam, _ *none) (api.KeyCensus, error) { return c.Keys.Census(c.ctx, p.Turn) }),
		with(Route{Method: "POST", Path: "/keys/slots", Auth: Token, Action: "keys.manage", Summary: "Add a way to unlock the instance.", MaxBody: 64 << 10, Status: http.StatusCreated,
			Example: api.KeySlotRequest{Source: "file:/etc/keyturn/root.key"}},
			func(c *call, _ *none, b *api.KeySlotRequest) (api.KeySlotMade, error) {
				return c.Keys.AddSlot(c.ctx, *b)
			}),
		with(Route{Method: "POST", Path: "/keys/slots/{id}/test", Auth: Token, Action: "keys.manage", Summary: "Prove that a slot still opens, by the server or by the holder of its root key.", MaxBody: smallBody,
			Example: api.KeySlotAnswer{}},
			func(c *call, p *slotParam, b *api.KeySlotAnswer) (api.KeySlotMade, error) {
				return c.Keys.TestSlot(c.ctx, p.ID, b.Answer)
			}),
		with(Route{Method: "DELETE", Path: "/keys/slots/{id}", Auth: Token, Action: "keys.manage", Summary: "Take a way to unlock away, for good.", Example: api.KeyTurn{}},
			func(c *call, p *removeSlotParams, _ *none) (api.KeyTurn, error) {
				return c.Keys.RemoveSlot(c.ctx, p.ID, p.Force)
			}),
	}
}
