package catalog

import (
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

func group(name string, members ...string) *directoryv1.Object {
	return &directoryv1.Object{
		Metadata: &directoryv1.Metadata{Kind: directory.KindRecipient, Name: name},
		Spec: &directoryv1.Object_Recipient{Recipient: &directoryv1.Recipient{
			Type: &directoryv1.Recipient_Group{Group: &directoryv1.DistributionGroup{Members: members}},
		}},
	}
}

// The index says what the groups say, after any events, snapshots that leave
// things out among them, and a restart.
func TestGroupsOf(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, Options{})
	r := rand.New(rand.NewPCG(1, 2))
	names := []string{"a", "ab", "b", "a.b", "a-b"}
	truth := map[string][]string{} // members by group
	for revision := int64(1); revision < 200; revision++ {
		e := directory.Event{Position: at(revision)}
		snapshot := r.IntN(10) == 0
		if snapshot {
			e.Snapshot, e.Begin, e.End = true, true, true
			truth = map[string][]string{}
		}
		for _, g := range names {
			switch r.IntN(4) {
			case 0:
				var members []string
				for _, m := range names {
					if r.IntN(2) == 0 {
						members = append(members, m)
					}
				}
				truth[g] = members
				e.Put = append(e.Put, group(g, members...))
			case 1:
				if _, there := truth[g]; there && !snapshot {
					delete(truth, g)
					e.Deleted = append(e.Deleted, directory.Key{Kind: directory.KindRecipient, Name: g})
				}
			}
		}
		must(t, c.apply(e))
		if revision%50 == 0 {
			closed(t, c)
			c = open(t, dir, Options{})
		}
		for _, m := range names {
			var want []string
			for g, members := range truth {
				if slices.Contains(members, m) {
					want = append(want, g)
				}
			}
			slices.Sort(want)
			if got, err := c.GroupsOf(m); err != nil || !slices.Equal(got, want) {
				t.Fatalf("revision %d: %s is in %v (%v), want %v", revision, m, got, err, want)
			}
		}
	}
	closed(t, c)
}

// A catalog of release 0.1.0 gets the index when it is opened.
func TestMembersOfRelease010(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("tar", "-xzf", filepath.Join("testdata", "release-0.1.0.tar.gz"), "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c := open(t, filepath.Join(dir, "catalog"), Options{})
	defer c.Close()
	all, err := c.Objects(directory.KindRecipient, "")
	must(t, err)
	members := 0
	for _, o := range all {
		for _, m := range o.GetRecipient().GetGroup().GetMembers() {
			members++
			if got, err := c.GroupsOf(m); err != nil || !slices.Contains(got, o.GetMetadata().GetName()) {
				t.Errorf("%s is in %v (%v), not in %s", m, got, err, o.GetMetadata().GetName())
			}
		}
	}
	if members == 0 {
		t.Fatal("nobody is in any group there")
	}
}

func BenchmarkGroupsOf(b *testing.B) {
	c := opened(b, Options{})
	e := directory.Event{Position: at(1), Snapshot: true, Begin: true, End: true}
	members := make([]string, 10000)
	for i := range members {
		members[i] = "m" + strconv.Itoa(i)
	}
	for i := range 20 {
		e.Put = append(e.Put, group("g"+strconv.Itoa(i), members...))
	}
	must(b, c.apply(e))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := c.GroupsOf(members[i*7919%len(members)]); err != nil {
			b.Fatal(err)
		}
	}
}
