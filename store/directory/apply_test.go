package directory

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

func TestApplyAndReadBack(t *testing.T) {
	d := newDirectory(t)
	objs := loadThreeSites(t)
	dry, _, _, err := d.Apply(t.Context(), objs, true)
	if err != nil {
		t.Fatal(err)
	}
	if stored, _, err := d.List(t.Context(), ""); err != nil || len(stored) != 0 {
		t.Fatalf("the dry run stored %d objects (%v)", len(stored), err)
	}
	changes := apply(t, d, objs...)
	for i, ch := range changes {
		if ch.Action != directoryv1.Action_ACTION_CREATED || dry[i].Action != ch.Action {
			t.Errorf("%s: %v, in the dry run %v, want created", KeyOf(objs[i]), ch.Action, dry[i].Action)
		}
		if ch.After.Metadata.Guid == "" || ch.After.Metadata.Revision == 0 {
			t.Errorf("%s: got no GUID or revision: %v", KeyOf(objs[i]), ch.After.Metadata)
		}
		if stored := get(t, d, KindOf(objs[i]), objs[i].Metadata.Name); !proto.Equal(stored, ch.After) {
			t.Errorf("%s: stored %v, reported %v", KeyOf(objs[i]), stored, ch.After)
		}
	}
	for i, ch := range apply(t, d, objs...) {
		if ch.Action != directoryv1.Action_ACTION_UNCHANGED {
			t.Errorf("%s: %v the second time", KeyOf(objs[i]), ch.Action)
		}
	}
	all, revision, err := d.List(t.Context(), "")
	if err != nil || len(all) != len(objs) {
		t.Fatalf("list: %d objects, %v", len(all), err)
	}
	if c, err := NewConfiguration(revision, all); err != nil || len(c.Servers()) != 5 {
		t.Errorf("configuration: %v", err)
	}
	if err := Invalid(Validate(all)); err != nil {
		t.Errorf("what is stored is not valid: %v", err)
	}
}

func TestPasswordNeverStored(t *testing.T) {
	d := newDirectory(t)
	apply(t, d, loadThreeSites(t)...)
	stored := get(t, d, KindAccount, "alice").GetAccount()
	if stored.GetPassword() != "" || strings.Contains(stored.String(), "demo-password") {
		t.Fatal("the password is stored")
	}
	if !VerifyPassword(stored.GetKeys(), "demo-password") || VerifyPassword(stored.GetKeys(), "demo-passwore") ||
		VerifyPassword(nil, "demo-password") || VerifyPassword(nil, "") {
		t.Error("the keys do not tell right passwords from wrong ones")
	}
	account := get(t, d, KindAccount, "alice")
	account.GetAccount().Password, account.GetAccount().Keys = "another one", nil
	apply(t, d, account)
	if k := get(t, d, KindAccount, "alice").GetAccount().GetKeys(); !VerifyPassword(k, "another one") || VerifyPassword(k, "demo-password") {
		t.Error("the password was not replaced")
	}
	// An account written without any secret keeps the one it has.
	account = get(t, d, KindAccount, "alice")
	account.GetAccount().Keys, account.GetAccount().SendAs = nil, nil
	apply(t, d, account)
	if k := get(t, d, KindAccount, "alice").GetAccount().GetKeys(); !VerifyPassword(k, "another one") {
		t.Error("the password was lost")
	}
}

func TestCompareAndSwap(t *testing.T) {
	d := newDirectory(t)
	apply(t, d, loadThreeSites(t)...)
	first, second := get(t, d, KindServer, "oslo-1"), get(t, d, KindServer, "oslo-1")
	first.GetServer().Drain = directoryv1.DrainMode_DRAIN_MODE_SOFT
	apply(t, d, first)
	second.GetServer().Drain = directoryv1.DrainMode_DRAIN_MODE_HARD
	requireIs(t, applyError(t, d, second), ErrConflict)
	if got := get(t, d, KindServer, "oslo-1").GetServer().GetDrain(); got != directoryv1.DrainMode_DRAIN_MODE_SOFT {
		t.Errorf("drain is %v, the conflict changed it", got)
	}
	gone := proto.CloneOf(second)
	gone.Metadata.Name, gone.Metadata.Guid = "oslo-9", ""
	requireIs(t, applyError(t, d, gone), ErrConflict)
	other := get(t, d, KindServer, "oslo-1")
	other.Metadata.Guid = "11111111-1111-4111-8111-111111111111"
	requireIs(t, applyError(t, d, other), ErrInvalid)
	copied := get(t, d, KindRecipient, "olav")
	copied.Metadata.Name, copied.Metadata.Revision = "olaf", 0
	copied.GetRecipient().Addresses = []string{"olaf@example.test"}
	requireIs(t, applyError(t, d, copied), ErrInvalid)
}

func TestAddressHasOneOwner(t *testing.T) {
	d := newDirectory(t)
	apply(t, d, loadThreeSites(t)...)
	err := applyError(t, d, mailbox("thief", "paris-1", "ALICE@Example.Test"))
	requireIs(t, err, ErrInvalid)
	if want := "Recipient/thief: addresses[0]: ALICE@Example.Test belongs to Recipient/alice"; !strings.Contains(err.Error(), want) {
		t.Errorf("error %q, want %q in it", err, want)
	}
	// Handing an address over is one change.
	alice := get(t, d, KindRecipient, "alice")
	alice.GetRecipient().Addresses = []string{"alice@example.test"}
	apply(t, d, mailbox("martin", "paris-2", "alice.martin@example.test"), alice)
	// And the guard has moved along.
	requireIs(t, applyError(t, d, mailbox("thief", "paris-1", "alice.martin@example.test")), ErrInvalid)
	if _, _, err := d.Delete(t.Context(), KindRecipient, "martin", 0, false); err != nil {
		t.Fatal(err)
	}
	apply(t, d, mailbox("thief", "paris-1", "alice.martin@example.test"))
}

func TestRacingAppliers(t *testing.T) {
	d := newDirectory(t)
	apply(t, d, loadThreeSites(t)...)
	const racers = 8
	results := make([]error, racers)
	race := func(object func(i int) *directoryv1.Object) (won int) {
		var wg sync.WaitGroup
		for i := range racers {
			wg.Go(func() {
				_, _, _, results[i] = d.Apply(t.Context(), []*directoryv1.Object{object(i)}, false)
			})
		}
		wg.Wait()
		for _, err := range results {
			if err == nil {
				won++
			}
		}
		return won
	}
	if won := race(func(i int) *directoryv1.Object {
		return mailbox(fmt.Sprint("racer", i), "paris-1", "prize@example.test")
	}); won != 1 {
		t.Errorf("%d recipients own one address", won)
	}
	for _, err := range results {
		if err != nil {
			requireIs(t, err, ErrInvalid)
		}
	}
	base := get(t, d, KindServer, "oslo-1")
	if won := race(func(i int) *directoryv1.Object {
		o := proto.CloneOf(base)
		o.GetServer().AdminAddress = fmt.Sprint("127.0.0.1:", 7000+i)
		return o
	}); won != 1 {
		t.Errorf("%d changes of one revision went through", won)
	}
	for _, err := range results {
		if err != nil {
			requireIs(t, err, ErrConflict)
		}
	}
	// Changes that do not meet all go through.
	if won := race(func(i int) *directoryv1.Object {
		return mailbox(fmt.Sprint("peer", i), "paris-1", fmt.Sprint("peer", i, "@example.test"))
	}); won != racers {
		t.Errorf("%d of %d independent mailboxes were made: %v", won, racers, results)
	}
}

// Two groups that take each other in at the same moment are each valid alone.
func TestRacingGroupsMakeNoLoop(t *testing.T) {
	d := newDirectory(t)
	apply(t, d, append(loadThreeSites(t), group("north"), group("south"))...)
	var wg sync.WaitGroup
	var errs [2]error
	for i, o := range []*directoryv1.Object{group("north", "south"), group("south", "north")} {
		wg.Go(func() { _, _, _, errs[i] = d.Apply(t.Context(), []*directoryv1.Object{o}, false) })
	}
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Fatalf("one must win: %v", errs)
	}
	all, _, err := d.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := Invalid(Validate(all)); err != nil {
		t.Error(err)
	}
}

func TestDeleteRefusesWhatIsUsed(t *testing.T) {
	d := newDirectory(t)
	apply(t, d, withDocuments(t, wan+"{kind: SMTPConnector, name: x, spec: {routingGroup: oslo, addressSpaces: ['*.example'], localBridgeheads: [oslo-1/wan]}}")...)
	for _, c := range []struct{ kind, name, referrer string }{
		{KindVirtualServer, "wan", "SMTPConnector/x"},
		{KindRoutingGroup, "oslo", "Server/oslo-1"},
		{KindServer, "paris-2", "Recipient/antoine"},
		{KindServer, "paris-2", "SMTPConnector/internet"},
		{KindRecipient, "alice", "Recipient/leads"},
		{KindRecipient, "leads", "Recipient/everyone"},
		{KindOrganization, "example", "delete them first"},
	} {
		_, _, err := d.Delete(t.Context(), c.kind, c.name, 0, false)
		requireIs(t, err, ErrInvalid)
		if !strings.Contains(err.Error(), c.referrer) {
			t.Errorf("%s/%s: %q does not name %s", c.kind, c.name, err, c.referrer)
		}
	}
	_, _, err := d.Delete(t.Context(), KindRecipient, "nobody", 0, false)
	requireIs(t, err, ErrNotFound)
	_, _, err = d.Delete(t.Context(), KindRecipient, "pat", 1, false)
	requireIs(t, err, ErrConflict)
	if _, _, err := d.Delete(t.Context(), KindRecipient, "pat", 0, true); err != nil {
		t.Fatal(err)
	}
	pat := get(t, d, KindRecipient, "pat")
	change, _, err := d.Delete(t.Context(), KindRecipient, "pat", pat.Metadata.Revision, false)
	if err != nil || change.Action != directoryv1.Action_ACTION_DELETED || !proto.Equal(change.Before, pat) {
		t.Fatalf("%v %v", change, err)
	}
	_, err = d.Get(t.Context(), KindRecipient, "pat")
	requireIs(t, err, ErrNotFound)
}

// A server must not go while a mailbox arrives there.
func TestDeleteServerRacesNewMailbox(t *testing.T) {
	d := newDirectory(t)
	apply(t, d, loadThreeSites(t)...)
	for i := range 5 {
		name := fmt.Sprint("spare-", i)
		server := get(t, d, KindServer, "oslo-1")
		server.Metadata = &directoryv1.Metadata{Name: name}
		s := server.GetServer()
		s.Fqdn, s.SmtpAddress, s.GossipAddress, s.AdminAddress = name+".example.test", "", "", ""
		apply(t, d, server)
		var wg sync.WaitGroup
		var deleted, created error
		wg.Go(func() { _, _, deleted = d.Delete(t.Context(), KindServer, name, 0, false) })
		wg.Go(func() {
			m := mailbox(name, name, name+"@example.test")
			_, _, _, created = d.Apply(t.Context(), []*directoryv1.Object{m}, false)
		})
		wg.Wait()
		if (deleted == nil) == (created == nil) {
			t.Fatalf("one must win: deleted %v, created %v", deleted, created)
		}
	}
}
