package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
)

// Peer is one server under test, running as its own process.
//
// To add one, write a file that implements it and name it in contestants.
type Peer interface {
	// Name is the peer's name in the tables.
	Name() string
	// Start runs the server and returns when it answers. It may be called
	// again after Stop; a peer that keeps its data on disk keeps it.
	Start(ctx context.Context) error
	// Stop ends the server, and no other process.
	Stop() error
	// PID is the server's process, for its CPU time and memory.
	PID() int
	// Address is host:port.
	Address() string
	// Seed stores the secrets measure.Name(0..n-1), generation 0, and whatever
	// ListRequests reads.
	Seed(ctx context.Context, n int) error
	// ReadRequest is one HTTP/1.1 request for the i-th secret's value.
	ReadRequest(i int) []byte
	// ListRequests is what one client must send for 100 values: one request,
	// or a hundred where the server has none for that.
	ListRequests() [][]byte
	// WriteRequest is a request that stores a new generation of the i-th
	// secret, or nil when the peer does not write.
	WriteRequest(i, generation int) []byte
}

// listSize is the number of values in the list rows.
const listSize = 100

// rawRequest builds the bytes of one HTTP/1.1 request. Header lines come as
// "Name: value".
func rawRequest(method, address, target string, body []byte, header ...string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, target, address)
	for _, h := range header {
		b.WriteString(h)
		b.WriteString("\r\n")
	}
	if body != nil {
		b.WriteString("Content-Type: application/json\r\nContent-Length: ")
		b.WriteString(strconv.Itoa(len(body)))
		b.WriteString("\r\n")
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}
