package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/node/pickup"
	"github.com/postroad/postroad/store/spool"
)

// runSpool runs `postroad spool` with the given arguments.
func runSpool(args ...string) (string, error) {
	var out strings.Builder
	cmd := spoolCommand()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetOut(&out)
	cmd.SetArgs(args)
	err := cmd.Execute()
	return out.String(), err
}

func TestSpoolCheck(t *testing.T) {
	data := t.TempDir()
	s, err := spool.Open(filepath.Join(data, "spool"), spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	id := mail.ID{1, 2, 3}
	b := s.NewBody()
	if _, err := b.Write([]byte("content")); err != nil {
		t.Fatal(err)
	}
	if err := s.Accept(spool.Incoming{ID: spool.ID(id), Body: b, Envelope: []byte("e")}); err != nil {
		t.Fatal(err)
	}
	if _, err := runSpool("check", "--data", data); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("beside the node that has it open: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := runSpool("check", "--data", data)
	if err != nil || !strings.Contains(out, "1 messages, 1 of them not yet") || !strings.Contains(out, "ledger: accepted 1/0\n") || !strings.Contains(out, "no problem found") {
		t.Errorf("%q, %v", out, err)
	}
	if out, err = runSpool("check", "--data", data, "-o", "json"); err != nil || !strings.Contains(out, `"octets": 7`) || !strings.Contains(out, `"problems": []`) {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := runSpool("check", "--data", t.TempDir()); err == nil || !strings.Contains(err.Error(), "cannot be looked at") {
		t.Errorf("a folder without a spool: %v", err)
	}
	if _, err := runSpool("check", "--data", data, "-o", "yaml"); err == nil {
		t.Error("-o yaml was taken")
	}
}

// A message that came with other recipients than it was said to have.
func TestSpoolCheckFindsImbalance(t *testing.T) {
	data := t.TempDir()
	s, err := spool.Open(filepath.Join(data, "spool"), spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	env := &mail.Envelope{ID: mail.ID{1}, Recipients: make([]mail.Recipient, 2)}
	if err := s.Accept(spool.Incoming{ID: spool.ID(env.ID), Body: s.NewBody(), Envelope: codec.EncodeEnvelope(env), Recipients: 3}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := runSpool("check", "--data", data)
	if err == nil || !strings.Contains(out, "the ledger does not balance: 1 messages must be in the spool and 1 are; 3 recipients must be and 2 are") {
		t.Errorf("%q, %v", out, err)
	}
}

// A spool's waiting mail goes out as files and into another node's pickup folder,
// without what was settled already.
func TestSpoolExportAndImport(t *testing.T) {
	data, files, other := t.TempDir(), filepath.Join(t.TempDir(), "files"), t.TempDir()
	s, err := spool.Open(filepath.Join(data, "spool"), spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e := &mail.Envelope{ID: mail.ID{1}, Origin: mail.ID{9}, From: mail.Address{Local: "a", Domain: "x.test"}, Visited: []mail.GUID{{5}}}
	for _, local := range []string{"b", "c", "d"} {
		e.Recipients = append(e.Recipients, mail.Recipient{Address: mail.Address{Local: local, Domain: "x.test"}})
	}
	b := s.NewBody()
	if _, err := b.Write([]byte("Subject: s\r\n\r\nhello\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := s.Accept(spool.Incoming{ID: spool.ID(e.ID), Body: b, Envelope: codec.EncodeEnvelope(e)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if out, err := runSpool("export", "--data", data, "--to", files); err != nil || !strings.Contains(out, "1 messages written") {
		t.Fatalf("%q, %v", out, err)
	}
	if _, err := runSpool("export", "--data", data, "--to", files); err == nil {
		t.Error("an export over files that are there was taken")
	}
	if _, err := runSpool("export", "--data", data, "--to", t.TempDir(), mail.ID{8}.String()); err == nil {
		t.Error("a message that is not there was exported")
	}
	name := filepath.Join(files, e.ID.String()+".eml")
	bad := filepath.Join(t.TempDir(), "bad.eml")
	if err := os.WriteFile(bad, []byte("no header\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := runSpool("import", "--data", other, name, bad); err == nil || !strings.Contains(err.Error(), bad) {
		t.Errorf("a bad file: %v", err)
	}
	if left, _ := os.ReadDir(filepath.Join(other, pickup.Folder)); len(left) > 0 {
		t.Errorf("beside a bad file %v was left", left)
	}
	if out, err := runSpool("import", "--data", other, name); err != nil || !strings.Contains(out, "1 messages left") {
		t.Fatalf("%q, %v", out, err)
	}
	left, err := os.ReadDir(filepath.Join(other, pickup.Folder))
	if err != nil || len(left) != 1 {
		t.Fatalf("%v, %v", left, err)
	}
	f, err := os.Open(filepath.Join(other, pickup.Folder, left[0].Name()))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l, err := pickup.Read(f)
	if err != nil || l.Envelope.Origin != e.Origin || len(l.Envelope.Recipients) != 3 || len(l.Envelope.Visited) > 0 {
		t.Errorf("%+v, %v", l, err)
	}
}

// A block of the only table is broken: check says so, with --repair it is healed, and
// what was lost is named.
func TestSpoolCheckRepairs(t *testing.T) {
	data := t.TempDir()
	dir := filepath.Join(data, "spool")
	for n := range 2 { // the second start writes what the first one logged to a table
		s, err := spool.Open(dir, spool.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			b := s.NewBody()
			if _, err := b.Write([]byte("the only content")); err != nil {
				t.Fatal(err)
			}
			if err := s.Accept(spool.Incoming{ID: spool.ID{1, 2, 3}, Body: b, Envelope: []byte("e")}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	tables, err := filepath.Glob(filepath.Join(dir, "store", "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	broken := 0
	for _, name := range tables {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if i := strings.Index(string(raw), "the only content"); i >= 0 {
			raw[i] ^= 1
			broken++
			if err := os.WriteFile(name, raw, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if broken != 1 {
		t.Fatalf("%d tables with the content", broken)
	}
	if out, err := runSpool("check", "--data", data); err == nil {
		t.Errorf("nothing is wrong: %q", out)
	}
	out, err := runSpool("check", "--repair", "--data", data)
	if err != nil && strings.Contains(out, "checksum") {
		t.Errorf("%q, %v", out, err)
	}
	kept, err := os.ReadDir(filepath.Join(dir, "quarantine"))
	if err != nil || len(kept) != 2 {
		t.Errorf("in the quarantine %v, %v", kept, err)
	}
	if _, err := runSpool("check", "--repair", "--data", t.TempDir()); err == nil {
		t.Error("a folder without a spool was repaired")
	}
}
