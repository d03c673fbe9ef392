package audit

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestTheIndexHidesNoEntry asks for everything that random entries hold, alone and together.
func TestTheIndexHidesNoEntry(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SampledFrom([]string{"", "a", "ann", "secret.read", "secret.write", "keys.turn.begin", "shop", "prod", "/a/B", "/B", "B"})
		b := NewIndexBlock(3)
		entries := map[int64]*Entry{}
		for range rapid.IntRange(1, 40).Draw(t, "entries") {
			i := 3*IndexEntries + rapid.Int64Range(0, IndexEntries-1).Draw(t, "index")
			e := &Entry{At: rapid.Int64Range(1, 1000).Draw(t, "at"), Action: word.Draw(t, "action"), Outcome: word.Draw(t, "outcome"), Project: word.Draw(t, "project"), Env: word.Draw(t, "env"),
				Actor: Actor{ID: word.Draw(t, "id"), Name: word.Draw(t, "name"), Token: word.Draw(t, "token")}, Keys: rapid.SliceOfN(word, 0, 3).Draw(t, "keys")}
			entries[i] = e
			b.Add(i, e)
		}
		f := Filter{Actor: word.Draw(t, "who"), Action: rapid.SampledFrom([]string{"", "secret.*", "secret.read", "keys.turn.*", "keys.*", "se*", "*"}).Draw(t, "what"), Project: word.Draw(t, "in"),
			Env: word.Draw(t, "of"), Key: word.Draw(t, "key"), Outcome: word.Draw(t, "as"), FromMS: rapid.Int64Range(0, 1000).Draw(t, "from"), ToMS: rapid.Int64Range(0, 1000).Draw(t, "to")}
		stretches := b.Stretches(f.Query())
		for i, e := range entries {
			if !f.Match(e) {
				continue
			}
			found := false
			for _, s := range stretches {
				found = found || s[0] <= i && i < s[1]
			}
			if !found {
				t.Fatalf("entry %d is hidden from %+v", i, f)
			}
		}
		for n := 1; n < len(stretches); n++ {
			if stretches[n][1] > stretches[n-1][0] {
				t.Fatalf("stretches are not apart and newest first: %v", stretches)
			}
		}
	})
}

func TestASearchSkipsNearlyAllStretchesWithoutAMatch(t *testing.T) {
	b := NewIndexBlock(0)
	for i := range int64(IndexEntries) {
		b.Add(i, &Entry{At: i + 1, Action: "secret.read", Outcome: Allowed, Project: "p", Env: "e", Actor: Actor{ID: fmt.Sprint("id", i%500), Name: fmt.Sprint("name", i%500), Token: fmt.Sprint("token", i)},
			Keys: []string{fmt.Sprintf("/folder%d/NAME%d", i%50, i%997)}})
	}
	looked := 0
	for i := range 1000 {
		looked += len(b.Stretches(Filter{Actor: fmt.Sprint("nobody", i)}.Query()))
	}
	if looked > 64 { // of 64,000
		t.Errorf("%d of 64,000 stretches are read in vain", looked)
	}
}
