package main

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/keyturn/keyturn/bench/measure"
)

// floorPeer is bench/floor: the least that a server can do for a read.
type floorPeer struct {
	tools   tools
	dir     string
	secrets int
	sizes   sizes
	proc    *process
	ready   struct{ Address, Token string }
}

// sizes are what Keyturn's answers weigh, so that the floor's weigh the same.
type sizes struct{ answer, item int }

func (p *floorPeer) Name() string    { return "floor" }
func (p *floorPeer) PID() int        { return p.proc.pid() }
func (p *floorPeer) Address() string { return strings.TrimPrefix(p.ready.Address, "http://") }
func (p *floorPeer) Stop() error     { return p.proc.stop() }

// Start fills the server as well: its values live in memory only.
func (p *floorPeer) Start(ctx context.Context) error {
	var err error
	p.proc, err = startServer(ctx, p.dir, nil, p.tools.floor, "serve",
		"-audit", filepath.Join(p.dir, "audit"),
		"-secrets", strconv.Itoa(p.secrets),
		"-answer", strconv.Itoa(p.sizes.answer),
		"-item", strconv.Itoa(p.sizes.item))
	if err != nil {
		return err
	}
	return p.proc.firstLine(ctx, &p.ready)
}

// Seed does nothing: see Start.
func (p *floorPeer) Seed(context.Context, int) error { return nil }

func (p *floorPeer) ReadRequest(i int) []byte {
	return p.get("/secrets/" + measure.Name(i))
}

func (p *floorPeer) ListRequests() [][]byte { return [][]byte{p.get("/list")} }

// WriteRequest is nil: the floor of writes is SQL by hand.
func (p *floorPeer) WriteRequest(int, int) []byte { return nil }

func (p *floorPeer) get(target string) []byte {
	return rawRequest("GET", p.Address(), target, nil, "Authorization: Bearer "+p.ready.Token)
}
