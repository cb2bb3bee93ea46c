package badmail

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/postroad/postroad/node/mail"
)

func envelope() *mail.Envelope {
	return &mail.Envelope{
		ID: mail.NewID(time.Unix(1_800_000_000, 0), [10]byte{7}), From: mail.Address{Local: "a", Domain: "x.test"},
		Recipients: []mail.Recipient{{Address: mail.Address{Local: "b", Domain: "y.test"}}}, ClientHost: "192.0.2.1",
	}
}

func TestKeep(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new", "badmail")
	e := envelope()
	for range 2 { // a repetition after a crash
		if err := Keep(folder, e, "nobody wants it", strings.NewReader("Subject: x\r\n\r\nhello\r\n"), time.Unix(1_800_000_001, 0)); err != nil {
			t.Fatal(err)
		}
	}
	files, _ := os.ReadDir(folder)
	if len(files) != 2 {
		t.Fatalf("%v", files)
	}
	text, _ := os.ReadFile(filepath.Join(folder, e.ID.String()+".eml"))
	if string(text) != "Subject: x\r\n\r\nhello\r\n" {
		t.Errorf("%q", text)
	}
	about, _ := os.ReadFile(filepath.Join(folder, e.ID.String()+".json"))
	var got Entry
	if err := json.Unmarshal(about, &got); err != nil {
		t.Fatal(err)
	}
	if got.Sender != "a@x.test" || !slices.Equal(got.Recipients, []string{"b@y.test"}) || got.Reason != "nobody wants it" || got.ClientHost != "192.0.2.1" {
		t.Errorf("%+v", got)
	}
}

// A folder that was made is on the disk for good before what is in it: its name stands
// in the one above. What is above those of others is not this process's to sync.
func TestFoldersAreSynced(t *testing.T) {
	root := t.TempDir()
	top := filepath.Join(root, "top")
	between, folder := filepath.Join(top, "new"), filepath.Join(top, "new", "badmail")
	for name, c := range map[string]struct {
		fails  string
		by     error
		want   []string // synced
		spared bool
	}{
		"all":                         {"", nil, []string{root, top, between, folder}, true},
		"not that of the outer one":   {top, syscall.EIO, []string{root, top}, false},
		"not that of the inner one":   {between, syscall.EIO, []string{root, top, between}, false},
		"not what is in it":           {folder, syscall.EIO, []string{root, top, between, folder}, false},
		"a broken disk above":         {root, syscall.EIO, []string{root}, false},
		"a closed folder above":       {root, syscall.EACCES, []string{root, top, between, folder}, true},
		"a closed folder of its own":  {top, syscall.EACCES, []string{root, top}, false},
		"above syncs no folders":      {root, syscall.EINVAL, []string{root, top, between, folder}, true},
		"a read-only system above it": {root, syscall.EROFS, []string{root, top, between, folder}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.Mkdir(top, 0o700); err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(top)
			var synced []string
			sync := func(folder string) error {
				if synced = append(synced, folder); folder == c.fails {
					return c.by
				}
				return nil
			}
			err := keep(sync, folder, envelope(), "x", strings.NewReader(""), time.Now())
			if (err == nil) != c.spared || !slices.Equal(synced, c.want) {
				t.Errorf("%v, synced %v", err, synced)
			}
			if c.by != syscall.EIO || c.fails == folder {
				return
			}
			synced = nil // what was not synced the first time is the second
			_ = keep(sync, folder, envelope(), "x", strings.NewReader(""), time.Now())
			if synced[0] != c.fails {
				t.Errorf("once more, synced %v", synced)
			}
		})
	}
}

// Recipients of one message may be given up at different times: the envelope names all.
func TestRecipientsAreAdded(t *testing.T) {
	folder := t.TempDir()
	e := envelope()
	keep := func(local, reason string) {
		t.Helper()
		e.Recipients = []mail.Recipient{{Address: mail.Address{Local: local, Domain: "y.test"}}}
		if err := Keep(folder, e, reason, strings.NewReader("Subject: x\r\n\r\n"), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(folder, e.ID.String()+".json")
	got := func() (e Entry) {
		t.Helper()
		about, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(about, &e); err != nil {
			t.Fatal(err)
		}
		return e
	}
	keep("b", "b is unknown")
	keep("c", "c is full")
	keep("b", "b is unknown") // a repetition after a crash
	if e := got(); !slices.Equal(e.Recipients, []string{"b@y.test", "c@y.test"}) || e.Reason != "b is unknown; c is full" {
		t.Errorf("%+v", e)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil { // what cannot be read is no reason to keep nothing
		t.Fatal(err)
	}
	keep("c", "c is full")
	if e := got(); !slices.Equal(e.Recipients, []string{"c@y.test"}) || e.Reason != "c is full" {
		t.Errorf("%+v", e)
	}
}

func TestNothingHalfIsLeft(t *testing.T) {
	folder := t.TempDir()
	broken := errors.New("the client hung up")
	content := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken))
	if err := Keep(folder, envelope(), "x", content, time.Now()); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if files, _ := os.ReadDir(folder); len(files) != 0 {
		t.Errorf("left %v", files)
	}
	if err := Keep(filepath.Join("/dev/null", "x"), envelope(), "x", strings.NewReader(""), time.Now()); err == nil {
		t.Error("a folder that cannot be made is no error")
	}
}
