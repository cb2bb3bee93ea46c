package submit_test

import (
	"io"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/postroad/postroad/node/submit"
	"github.com/postroad/postroad/store/spool"
)

// falls is content that panics at its end: between chunks a client's commands are served.
type falls struct{ io.Reader }

func (f falls) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err != nil {
		panic("a command between two chunks")
	}
	return n, nil
}

// A session's panic ends its connection; the file of its body is there for the next message.
func TestPanicLeavesNoBody(t *testing.T) {
	fs := vfs.NewMem()
	s, err := spool.Open("spool", spool.Options{FS: fs, Free: func() (uint64, error) { return 1 << 40, nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	desk := submit.New(submit.Config{Store: s})
	text := "Subject: s\r\n\r\n" + strings.Repeat("x\r\n", 300_000) // so much that it has a file
	for range 3 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			desk.Submit(submission(), falls{strings.NewReader(text)})
		}()
	}
	if err := desk.Submit(submission(), strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	if names, err := fs.List("spool/bodies"); err != nil || len(names) != 1 {
		t.Errorf("files %q, %v, want the one of the accepted message", names, err)
	}
}
