package proof

import (
	"context"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/bucket"
)

// The moments at which archiving the log may die: the file is there and its entries too, and the entries are gone.
var archivePoints = []string{"audit.archive.put", "audit.archive.moved"}

// TestAnArchiveGoesOnAfterADeathAtEveryNamedPoint lets a server die while it archives. Another one must find each entry in the
// database or in a file, a sound log, and archive the rest.
func TestAnArchiveGoesOnAfterADeathAtEveryNamedPoint(t *testing.T) {
	template := onSQLite(t)
	server := template.start(t)
	s := siteAt(t, server.url)
	token := s.setUp(t)
	must[api.Project](t, s, token, "POST", "/projects", api.ProjectRequest{Slug: "shop", Envs: []string{"dev"}})
	must[api.Committed](t, s, token, "POST", at("shop", "dev", "commits"), set("/", "A", "test-value"))
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 270 {
				s.call(token, "GET", "/whoami", nil)
			}
		})
	}
	all.Wait()
	server.stop(t)
	for _, point := range archivePoints {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			p := onSQLite(t)
			copyWorld(t, template.data(), p.data())
			dying := p.with(crashAt, point).start(t)
			archiveUntil(t, siteAt(t, dying.url), token, func() bool {
				select {
				case <-dying.ended:
					return true
				default:
					return false
				}
			})
			server := p.start(t)
			s := siteAt(t, server.url)
			verifiedDeep(t, s, token)
			archiveUntil(t, s, token, func() bool { return must[api.Archive](t, s, token, "GET", "/audit/archive", nil).Archived > 0 })
			verifiedDeep(t, s, token)
			entriesTogether(t, s, token, filepath.Join(p.data(), "audit-archive"))
			server.stop(t)
		})
	}
}

// archiveUntil asks for the archive until something holds.
func archiveUntil(t *testing.T, s *site, token string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(exitWithin); !holds(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("nothing was archived")
		}
		s.call(token, "POST", "/audit/archive", api.ArchiveRequest{Before: time.Now().Add(-time.Second), Open: true})
	}
}

func verifiedDeep(t *testing.T, s *site, token string) {
	t.Helper()
	if v := must[api.Verification](t, s, token, "POST", "/audit/verify?deep=true", nil); len(v.Problems) > 0 {
		t.Errorf("the verification found %+v", v.Problems)
	}
}

// entriesTogether reads every entry from files and server and compares what they give with the signed root.
func entriesTogether(t *testing.T, s *site, token, folder string) {
	t.Helper()
	place, err := bucket.Open(folder, bucket.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	tree := audit.EmptyTree()
	for _, seg := range must[api.Archive](t, s, token, "GET", "/audit/archive", nil).Segments {
		r, err := place.Get(context.Background(), seg.Name)
		if err != nil {
			t.Fatal(err)
		}
		_, chunks, err := audit.ReadSegment(r)
		_ = r.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range chunks {
			if err := tree.CatchUp(c); err != nil {
				t.Fatal(err)
			}
		}
	}
	cp := must[api.Checkpoint](t, s, token, "GET", "/audit/checkpoint", nil)
	head, err := audit.OpenCheckpoint([]byte(cp.Checkpoint), strings.Split(cp.Key, "\n")...)
	if err != nil {
		t.Fatal(err)
	}
	for tree.Size() < head.Size {
		page := must[api.LogPage](t, s, token, "GET", "/audit/log?from="+strconv.FormatInt(tree.Size(), 10), nil)
		left := page.Entries[:min(int64(len(page.Entries)), head.Size-tree.Size())]
		raw := make([][]byte, 0, len(left))
		for e := range slices.Values(left) {
			raw = append(raw, e)
		}
		tree.AddAt(raw, 0, 1)
	}
	if tree.Root() != head.Root {
		t.Error("the entries of files and server do not give the signed root")
	}
}
