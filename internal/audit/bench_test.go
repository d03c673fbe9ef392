package audit_test

import (
	"context"
	"testing"

	"github.com/keyturn/keyturn/internal/audit"
)

func BenchmarkAppendCanonical(b *testing.B) {
	e := sample(1)
	dst := make([]byte, 0, 2048)
	b.ReportAllocs()
	for b.Loop() {
		dst = e.AppendCanonical(dst[:0])
	}
	b.SetBytes(int64(len(dst)))
}

func BenchmarkParseEntry(b *testing.B) {
	e := sample(1)
	in := e.AppendCanonical(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := audit.ParseEntry(in); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTreeAdd256 is one group commit of 256 entries on a clone, as the server does it.
func BenchmarkTreeAdd256(b *testing.B) {
	entries := make([][]byte, 256)
	for i := range entries {
		e := sample(i)
		entries[i] = e.AppendCanonical(nil)
	}
	tree := audit.EmptyTree()
	tree.AddAt(entries[:100], 1, 1)
	b.ReportAllocs()
	for b.Loop() {
		tree = tree.Clone()
		tree.AddAt(entries, startMS, startMS)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/256, "ns/entry")
}

// BenchmarkTreeAdd1 is a group commit of one entry, the cost to a lone client.
func BenchmarkTreeAdd1(b *testing.B) {
	e := sample(1)
	entries := [][]byte{e.AppendCanonical(nil)}
	tree := audit.EmptyTree()
	b.ReportAllocs()
	for b.Loop() {
		tree = tree.Clone()
		tree.AddAt(entries, startMS, startMS)
	}
}

func BenchmarkVerify(b *testing.B) {
	const n = 200_000
	l := makeLog(b, n, 40)
	b.ReportAllocs()
	for b.Loop() {
		r, err := audit.Verify(context.Background(), l, l.checkpoint, l.vkey, nil)
		if err != nil || !r.Sound() {
			b.Fatal(r, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/entry")
}

// BenchmarkVerifyMillionEntries verifies a log of a million entries, in batches of the size that group commits have under load.
// It is a figure of the product's benchmark (bench/packages.go).
func BenchmarkVerifyMillionEntries(b *testing.B) {
	const n = 1_000_000
	l := makeLog(b, n, 16)
	l.leaves = nil // the verification reads chunks
	for b.Loop() {
		r, err := audit.Verify(context.Background(), l, l.checkpoint, l.vkey, nil)
		if err != nil || !r.Sound() {
			b.Fatal(r, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/entry")
}
