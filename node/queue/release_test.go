package queue

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/store/spool"
)

// unpack lays out a folder that a release left behind.
func unpack(t *testing.T, archive, dir string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.Clean(h.Name))
		if h.FileInfo().IsDir() {
			err = os.MkdirAll(path, 0o700)
		} else {
			var b []byte
			if b, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(path, b, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The spool of a node of release 0.1.0 that was killed with three messages to
// four recipients, each deferred by its next hop several times. This version finds all of them as
// they were, and delivers them.
func TestSpoolOfRelease010(t *testing.T) {
	dir := t.TempDir()
	unpack(t, filepath.Join("testdata", "release-0.1.0.tar.gz"), dir)
	sp := openSpool(t, filepath.Join(dir, "spool"))
	defer sp.Close()
	n, err := sp.Check(t.Context(), func(p spool.Problem) { t.Errorf("message %x: %s", p.Message, p.Text) })
	if err != nil || n.Messages != 3 || n.Entries != 4 {
		t.Fatalf("%+v, %v", n, err)
	}
	if n.Ledger["opening"] != (spool.Tally{Messages: 3, Recipients: 4}) || n.Recipients != 4 {
		t.Errorf("its ledger begins with %+v", n)
	}

	var waiting []string
	err = sp.Messages(func(id spool.ID) error {
		st, err := sp.Load(id)
		if err != nil {
			return err
		}
		env, to, err := Waiting(st)
		for _, r := range to {
			waiting = append(waiting, fmt.Sprintf("%d %s", len(env.Recipients), r.Address))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(waiting)
	equal(t, "waiting", waiting, []string{"1 out4@elsewhere.test", "1 out@elsewhere.test", "2 out2@elsewhere.test", "2 out3@third.test"})

	g := newRig()
	got := make(chan string, 8)
	g.agent.answer = func(hop mail.Hop, tr *mail.Transaction, target mail.Target) mail.Outcome {
		e := tr.Envelope
		got <- fmt.Sprintf("<%s> to %s over %s, notify %d, original %q, priority %s, body %d, utf8 %v, ret %q, envid %q, tried before %v, %s",
			e.From, target.Address, hop.Name, target.Notify, target.Original, e.Priority, e.Body, e.UTF8, e.Return, e.EnvelopeID, tr.Attempt > 1, sum(tr.Content))
		return delivered
	}
	clock := testClock
	clock.DelayNotice, clock.Expiration = 100*365*24*time.Hour, 200*365*24*time.Hour // the fixture only gets older
	r := runOn(sp, g, func(c *Config) { c.Clock = clock })
	var all []string
	for range 4 {
		all = append(all, <-got)
	}
	slices.Sort(all)
	equal(t, "delivered", all, []string{
		`<> to out2@elsewhere.test over elsewhere.test, notify 0, original "", priority normal, body 0, utf8 false, ret "", envid "", tried before true, 400332 octets a7a4599b`,
		`<> to out3@third.test over third.test, notify 0, original "", priority normal, body 0, utf8 false, ret "", envid "", tried before true, 400332 octets a7a4599b`,
		`<ada@outside.test> to out4@elsewhere.test over elsewhere.test, notify 0, original "", priority normal, body 1, utf8 true, ret "", envid "", tried before true, 300 octets 65a5574a`,
		`<ada@outside.test> to out@elsewhere.test over elsewhere.test, notify 6, original "rfc822;out@elsewhere.test", priority high, body 0, utf8 false, ret "HDRS", envid "fixture+1", tried before true, 312 octets 33d97025`,
	})
	r.end(t)
	l := expectBalance(t, sp, spool.Tally{})
	if l[spool.Relayed] != (spool.Tally{Messages: 3, Recipients: 4}) {
		t.Errorf("its ledger ends with %v", l)
	}
}

func sum(c mail.Content) string {
	r, err := c.Open()
	if err != nil {
		return err.Error()
	}
	defer r.Close()
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d octets %x", n, h.Sum(nil)[:4])
}
