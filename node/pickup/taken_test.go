package pickup

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/postroad/postroad/node/mail"
)

// A message whose files cannot be deleted after its acceptance is not sent every second: they
// are deleted when that works again. Another file of the name is another message.
func TestAcceptedOnceThoughNotDeleted(t *testing.T) {
	const text, envelope = "From: a@x.test\nTo: b@x.test\n\nx\n", `{"sender":"a@x.test","recipients":[{"address":"b@x.test"}],"content":"one.eml"}`
	for name, c := range map[string]struct {
		pairs   bool
		files   map[string]string
		trigger string
	}{
		"file": {false, map[string]string{"one.eml": text}, "one.eml"},
		"pair": {true, map[string]string{"one.eml": text, "one.json": envelope}, "one.json"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &post{}
			k := started(t, p)
			k.c.Pairs = c.pairs
			away := k.c.Dir + "-away"
			move := func(from, to string) {
				t.Helper()
				if err := os.Rename(from, to); err != nil {
					t.Fatal(err)
				}
			}
			put := func() {
				t.Helper()
				for file, text := range c.files {
					tmp := filepath.Join(k.c.Dir, ".tmp")
					if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
					move(tmp, filepath.Join(k.c.Dir, file))
				}
			}
			k.c.Submit = func(s *mail.Submission, content io.Reader) error {
				err := p.submit(s, content)
				move(k.c.Dir, away) // nothing can be deleted
				return err
			}
			put()
			k.look(t.Context())
			move(away, k.c.Dir)
			if k.told[c.trigger] == "" {
				t.Error("nobody is told")
			}
			k.look(t.Context())
			if left := files(t, k.c.Dir); len(p.got) != 1 || len(left) != 0 {
				t.Fatalf("accepted %q, left %q", p.got, left)
			}

			put()
			k.look(t.Context())
			move(away, k.c.Dir)
			put() // in their place
			k.c.Submit = p.submit
			k.look(t.Context())
			if left := files(t, k.c.Dir); len(p.got) != 3 || len(left) != 0 {
				t.Errorf("accepted %q, left %q", p.got, left)
			}
		})
	}
}
