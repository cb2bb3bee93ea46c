package catalog

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// guid makes an identity out of a number.
func guid(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012x", n+1) }

func organization() *directoryv1.Object {
	return &directoryv1.Object{
		Metadata: &directoryv1.Metadata{Kind: directory.KindOrganization, Name: "example", Guid: guid(0)},
		Spec:     &directoryv1.Object_Organization{Organization: &directoryv1.Organization{}},
	}
}

func server(n int) *directoryv1.Object {
	return &directoryv1.Object{
		Metadata: &directoryv1.Metadata{Kind: directory.KindServer, Name: fmt.Sprint("server-", n), Guid: guid(n)},
		Spec:     &directoryv1.Object_Server{Server: &directoryv1.Server{}},
	}
}

func mailbox(name string, addresses ...string) *directoryv1.Object {
	return &directoryv1.Object{
		Metadata: &directoryv1.Metadata{Kind: directory.KindRecipient, Name: name},
		Spec: &directoryv1.Object_Recipient{Recipient: &directoryv1.Recipient{
			Addresses: addresses,
			Type:      &directoryv1.Recipient_Mailbox{Mailbox: &directoryv1.Mailbox{HomeServer: "server-1"}},
		}},
	}
}

func open(t testing.TB, dir string, o Options) *Catalog {
	t.Helper()
	c, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func opened(t testing.TB, o Options) *Catalog {
	t.Helper()
	c := open(t, t.TempDir(), o)
	t.Cleanup(func() { closed(t, c) })
	return c
}

func closed(t testing.TB, c *Catalog) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func at(revision int64) directory.Position {
	return directory.Position{Identity: "i", Revision: revision}
}

// snapshot is a whole snapshot in one page.
func snapshot(revision int64, objs ...*directoryv1.Object) directory.Event {
	return directory.Event{Position: at(revision), Put: objs, Snapshot: true, Begin: true, End: true}
}

// owners compares the address index with the wanted one: address -> name, "" for nobody.
func owners(t *testing.T, c *Catalog, want map[string]string) {
	t.Helper()
	for address, name := range want {
		o, ok, err := c.Lookup(directory.AddressKey(address))
		if err != nil || ok != (name != "") || o.GetMetadata().GetName() != name {
			t.Errorf("%s belongs to %q (%v, %v), want %q", address, o.GetMetadata().GetName(), ok, err, name)
		}
	}
}

func TestLookupByEveryAddress(t *testing.T) {
	c := opened(t, Options{})
	must(t, c.apply(snapshot(1, organization(), mailbox("a", "A@example.test", "X400:C=us;s=A"), mailbox("b", "b@example.test"))))
	owners(t, c, map[string]string{"a@EXAMPLE.test": "a", "x400:c=US;s=a": "a", "b@example.test": "b", "c@example.test": ""})
	// b takes an address of a, a gets another, in one change.
	must(t, c.apply(directory.Event{Position: at(2), Put: []*directoryv1.Object{
		mailbox("a", "new@example.test"), mailbox("b", "b@example.test", "a@example.test"),
	}}))
	owners(t, c, map[string]string{"a@example.test": "b", "X400:C=us;s=A": "", "new@example.test": "a"})
	must(t, c.apply(directory.Event{Position: at(3), Deleted: []directory.Key{{Kind: directory.KindRecipient, Name: "b"}}}))
	owners(t, c, map[string]string{"a@example.test": "", "b@example.test": "", "new@example.test": "a"})
	if _, ok, err := c.RecipientByName("b"); ok || err != nil {
		t.Errorf("b is still there: %v", err)
	}
	if c.Recipients() != 1 || c.Revision() != 3 {
		t.Errorf("%d recipients at %d, want 1 at 3", c.Recipients(), c.Revision())
	}
}

// Somebody whom nobody knew, asked for before, is known with the change that brings
// him, and not with the one that takes him away.
func TestStrangerMovesIn(t *testing.T) {
	c := opened(t, Options{})
	nobody := map[string]string{"new@example.test": ""}
	must(t, c.apply(snapshot(1, mailbox("old", "old@example.test"))))
	owners(t, c, nobody)
	owners(t, c, nobody)
	must(t, c.apply(directory.Event{Position: at(2), Put: []*directoryv1.Object{mailbox("new", "new@example.test")}}))
	owners(t, c, map[string]string{"new@example.test": "new", "old@example.test": "old"})
	must(t, c.apply(snapshot(3)))
	owners(t, c, map[string]string{"new@example.test": "", "old@example.test": ""})
}

func TestSnapshotReplacesEverything(t *testing.T) {
	c := opened(t, Options{})
	must(t, c.apply(snapshot(5, organization(), server(1), server(2), mailbox("a", "x@t"), mailbox("b", "y@t"), mailbox("c", "z@t"))))
	before := c.Config()
	page := func(begin, end bool, objs ...*directoryv1.Object) directory.Event {
		return directory.Event{Position: at(9), Put: objs, Snapshot: true, Begin: begin, End: end}
	}
	// Recipient "a" has passed x to "c", which comes in a later page; "b" is gone.
	must(t, c.apply(page(true, false, organization(), server(2), server(3), mailbox("a", "a@t"))))
	if c.Config() != before || c.Revision() != 0 {
		t.Errorf("half a snapshot shows, revision %d", c.Revision())
	}
	must(t, c.apply(page(false, false)))
	must(t, c.apply(page(false, true, mailbox("c", "x@t"), mailbox("d", "y@t"))))
	owners(t, c, map[string]string{"a@t": "a", "x@t": "c", "y@t": "d", "z@t": ""})
	conf := c.Config()
	if _, ok := conf.Server("server-1"); ok || len(conf.Servers()) != 2 || conf.Revision() != 9 || c.Revision() != 9 {
		t.Errorf("servers %v at %d", conf.Servers(), conf.Revision())
	}
	if c.Recipients() != 3 {
		t.Errorf("%d recipients, want 3", c.Recipients())
	}
}

// An address whose new owner comes in an earlier page than its old one.
func TestSnapshotMovesAddressForward(t *testing.T) {
	c := opened(t, Options{})
	must(t, c.apply(snapshot(5, mailbox("a"), mailbox("z", "x@t"))))
	must(t, c.apply(directory.Event{Position: at(9), Put: []*directoryv1.Object{mailbox("a", "x@t")}, Snapshot: true, Begin: true}))
	must(t, c.apply(directory.Event{Position: at(9), Put: []*directoryv1.Object{mailbox("z", "z@t")}, Snapshot: true, End: true}))
	owners(t, c, map[string]string{"x@t": "a", "z@t": "z"})
}

func TestSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	c := open(t, dir, Options{Now: func() time.Time { return now }})
	if c.Age(now) != math.MaxInt64 || c.Config() == nil || c.Config().HasOrganization() {
		t.Error("a new catalog has an age or an organisation")
	}
	must(t, c.apply(snapshot(5, organization(), server(1), mailbox("a", "x@t"))))
	now = now.Add(time.Hour)
	must(t, c.apply(directory.Event{Position: at(8)}))
	closed(t, c)
	c = open(t, dir, Options{})
	defer closed(t, c)
	owners(t, c, map[string]string{"x@t": "a"})
	if c.Recipients() != 1 || c.Revision() != 8 || c.position() != at(8) || len(c.Config().Servers()) != 1 {
		t.Errorf("%d recipients, position %v, %d servers", c.Recipients(), c.position(), len(c.Config().Servers()))
	}
	if age := c.Age(now.Add(time.Minute)); age != time.Minute {
		t.Errorf("age %s, want 1m", age)
	}
}

// A snapshot that was cut off must begin anew, not go on from the old position.
func TestCutSnapshotBeginsAnew(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, Options{})
	must(t, c.apply(snapshot(5, organization(), mailbox("a", "x@t"))))
	must(t, c.apply(directory.Event{Position: at(9), Put: []*directoryv1.Object{organization()}, Snapshot: true, Begin: true}))
	closed(t, c)
	c = open(t, dir, Options{})
	defer closed(t, c)
	if c.position() != (directory.Position{}) {
		t.Errorf("goes on from %v", c.position())
	}
	owners(t, c, map[string]string{"x@t": "a"})
}

func TestFullDisk(t *testing.T) {
	free := uint64(1 << 30)
	c := opened(t, Options{Free: func() (uint64, error) { return free, nil }})
	must(t, c.apply(snapshot(5, organization(), mailbox("a", "x@t"))))
	free = 1 << 20
	err := c.apply(directory.Event{Position: at(6), Put: []*directoryv1.Object{mailbox("b", "y@t")}})
	if !errors.Is(err, ErrFull) || c.Revision() != 5 {
		t.Fatalf("%v at revision %d", err, c.Revision())
	}
	owners(t, c, map[string]string{"x@t": "a", "y@t": ""})
	free = 1 << 30
	must(t, c.apply(directory.Event{Position: at(6), Put: []*directoryv1.Object{mailbox("b", "y@t")}}))
	owners(t, c, map[string]string{"y@t": "b"})
}

func TestSubscribe(t *testing.T) {
	c := opened(t, Options{})
	var seen []int64
	cancel := c.Subscribe(func(conf *directory.Configuration) { seen = append(seen, conf.Revision()) })
	must(t, c.apply(snapshot(5, organization())))
	must(t, c.apply(directory.Event{Position: at(6), Put: []*directoryv1.Object{mailbox("a", "x@t")}}))
	must(t, c.apply(directory.Event{Position: at(7), Put: []*directoryv1.Object{server(1)}}))
	cancel()
	must(t, c.apply(directory.Event{Position: at(8), Put: []*directoryv1.Object{server(2)}}))
	if want := []int64{0, 5, 7}; fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("saw revisions %v, want %v: recipients are no configuration", seen, want)
	}
}

func TestUnusableConfigurationKeepsTheOld(t *testing.T) {
	c := opened(t, Options{})
	must(t, c.apply(snapshot(5, organization(), server(1))))
	twin := server(2)
	twin.Metadata.Guid = server(1).Metadata.Guid
	must(t, c.apply(directory.Event{Position: at(6), Put: []*directoryv1.Object{twin}}))
	if got := len(c.Config().Servers()); got != 1 || c.Revision() != 6 {
		t.Errorf("%d servers at %d", got, c.Revision())
	}
}

func TestRefusesFolders(t *testing.T) {
	fresh := func() string {
		dir := t.TempDir()
		c := open(t, dir, Options{})
		must(t, c.apply(snapshot(5, organization(), mailbox("a", "x@t"))))
		closed(t, c)
		return dir
	}
	for name, spoil := range map[string]func(dir string){
		"foreign": func(dir string) {
			must(t, os.RemoveAll(dir))
			must(t, os.Mkdir(dir, 0o700))
			must(t, os.WriteFile(filepath.Join(dir, "letter.txt"), []byte("x"), 0o600))
		},
		"newer": func(dir string) {
			must(t, os.WriteFile(filepath.Join(dir, formatFile), []byte("postroad-catalog 2\n"), 0o600))
		},
		"other format":  func(dir string) { must(t, os.WriteFile(filepath.Join(dir, formatFile), []byte("x"), 0o600)) },
		"store is gone": func(dir string) { must(t, os.RemoveAll(filepath.Join(dir, storeFolder))) },
		"manifest damaged": func(dir string) {
			files, err := filepath.Glob(filepath.Join(dir, storeFolder, "MANIFEST-*"))
			must(t, err)
			for _, f := range files {
				must(t, os.WriteFile(f, []byte("binary garbage"), 0o600))
			}
		},
	} {
		dir := fresh()
		spoil(dir)
		before := contents(t, dir)
		if c, err := Open(dir, Options{}); !errors.Is(err, ErrFolder) {
			t.Errorf("%s: %v, want ErrFolder", name, err)
			if err == nil {
				closed(t, c)
			}
		}
		for path, text := range before {
			if after, err := os.ReadFile(path); err != nil || string(after) != text {
				t.Errorf("%s: %s was changed (%v)", name, filepath.Base(path), err)
			}
		}
	}
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		files[path] = string(text)
		return err
	}))
	return files
}

func TestDamagedObjectIsRefused(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, Options{})
	must(t, c.apply(snapshot(5, organization())))
	must(t, c.db.Set([]byte(configPrefix+"Server/x"), []byte{0xff}, pebble.Sync))
	closed(t, c)
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrFolder) {
		t.Errorf("%v, want ErrFolder", err)
	}
}

func TestSecondOpening(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, Options{})
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrInUse) {
		t.Errorf("%v, want ErrInUse", err)
	}
	closed(t, c)
	closed(t, open(t, dir, Options{}))
}

// A first start that was killed leaves a folder that the next start can use.
func TestKilledFirstStart(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, lockFile), nil, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, formatFile+".new"), []byte("post"), 0o600))
	closed(t, open(t, dir, Options{}))
}

func TestStoredObjectIsComplete(t *testing.T) {
	c := opened(t, Options{})
	want := mailbox("a", "x@t")
	want.Metadata.Guid, want.Metadata.Revision = guid(7), 5
	must(t, c.apply(snapshot(5, want)))
	if got, _, err := c.Lookup("x@t"); err != nil || !proto.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
}
