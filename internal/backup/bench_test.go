package backup

import (
	"bytes"
	"io"
	"testing"
)

// The instance of the figures in docs: 100,000 secrets of 256 bytes in SQLite.
const benchSecrets, benchSize = 100_000, 256

func BenchmarkWrite100000(b *testing.B) {
	i := found(b, engines["sqlite"](b), benchSecrets, benchSize)
	for b.Loop() {
		w, err := Write(b.Context(), io.Discard, i.source())
		must(b, err)
		b.SetBytes(w.Bytes)
	}
}

func BenchmarkVerify100000(b *testing.B) {
	i := found(b, engines["sqlite"](b), benchSecrets, benchSize)
	file, _ := i.backup(b)
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		r, err := Verify(b.Context(), bytes.NewReader(file), i.check())
		must(b, err)
		if !r.Sound() {
			b.Fatal(r.Problems)
		}
	}
}

func BenchmarkDrill100000(b *testing.B) {
	i := found(b, engines["sqlite"](b), benchSecrets, benchSize)
	file, _ := i.backup(b)
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		d, err := Drill(b.Context(), bytes.NewReader(file), i.check(), b.TempDir())
		must(b, err)
		if !d.Report.Sound() {
			b.Fatal(d.Report.Problems)
		}
		b.ReportMetric(d.Restore.Seconds(), "restore-s")
		b.ReportMetric(d.Check.Seconds(), "check-s")
	}
}
