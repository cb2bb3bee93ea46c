package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/node/deliver"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/pickup"
)

// one transaction, as the queues give it.
type one struct {
	t    *mail.Transaction
	done []mail.Outcome
}

func (o *one) Next() *mail.Transaction { t := o.t; o.t = nil; return t }

func (o *one) Wait(time.Duration) bool { return false }

func (o *one) Done(_ *mail.Transaction, outcomes []mail.Outcome) { o.done = outcomes }

type octets string

func (s octets) Open() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(string(s))), nil }
func (s octets) Size() int64                  { return int64(len(s)) }

// What a drop directory holds, the replay folder takes: the same envelope, the same
// octets, each message once.
func TestDropIsReplayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), pickup.Replay)
		content := octets("Subject: Gr\u00fc\u00dfe\r\nTo: somebody.else@x.example\r\n\r\n..body\r\n")
		address := func(s string) mail.Address {
			a, err := mail.ParseAddress(s)
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		agent := deliver.New(deliver.Options{Hostname: "here.test"})
		drop := func(from mail.Address, to ...mail.Target) {
			e := &mail.Envelope{ID: mail.NewID(time.Now(), [10]byte{byte(len(to))}), From: from, EnvelopeID: "env+2B1", Return: "HDRS", Priority: mail.PriorityHigh, Size: content.Size()}
			f := &one{t: &mail.Transaction{Envelope: e, Content: content, Targets: to}}
			if err := agent.Serve(t.Context(), mail.Hop{Kind: mail.HopDrop, Options: mail.HopOptions{Directory: dir}}, f); err != nil {
				t.Fatal(err)
			}
			for _, o := range f.done {
				if o.Result != mail.Delivered {
					t.Fatalf("%+v", o)
				}
			}
		}
		drop(address("alice@a.example"), mail.Target{Address: address("bob@b.example"), Notify: mail.NotifySuccess | mail.NotifyDelay, Original: "rfc822;robert@b.example"},
			mail.Target{Address: address("\"car ol\"@c.example")})
		drop(mail.Address{}, mail.Target{Address: address("alice@a.example"), Notify: mail.NotifyNever})
		drop(address("alice@a.example"), mail.Target{Foreign: "FAX:123"})
		if err := os.WriteFile(filepath.Join(dir, "x.json"), []byte(`{"sender":"a@a.example","recipients":[{"address":"b@b.example"}],"content":"../x.eml"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "early.eml"), []byte(content), 0o600); err != nil { // whose envelope is still to come
			t.Fatal(err)
		}

		var got []string
		take, err := pickup.New(pickup.Config{
			Dir: dir, Pairs: true, Temporary: func(error) bool { return false }, Hostname: func() string { return "here.test" },
			HopLimit: func() int { return 30 }, MaxSize: func() int64 { return 0 },
			Submit: func(s *mail.Submission, r io.Reader) error {
				b, err := io.ReadAll(r)
				e := s.Envelope
				line := fmt.Sprintf("<%s> %s %s %v utf8 %v, same octets %v:", e.From, e.EnvelopeID, e.Return, e.Priority, e.UTF8, string(b) == string(content))
				for _, r := range e.Recipients {
					line += fmt.Sprintf(" <%s> %s %d", r.Address, r.Original, r.Notify)
				}
				got = append(got, line)
				return err
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := take.Run(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		slices.Sort(got)
		want := []string{
			"<> env+2B1 HDRS high utf8 true, same octets true: <alice@a.example>  " + fmt.Sprint(int(mail.NotifyNever)),
			"<alice@a.example> env+2B1 HDRS high utf8 true, same octets true: <bob@b.example> rfc822;robert@b.example " +
				fmt.Sprint(int(mail.NotifySuccess|mail.NotifyDelay)) + " <\"car ol\"@c.example>  0",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		var left []string
		for _, folder := range []string{dir, filepath.Join(dir, "bad")} {
			entries, err := os.ReadDir(folder)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				left = append(left, strings.TrimPrefix(filepath.Ext(e.Name()), ".")+" "+filepath.Base(folder))
			}
		}
		slices.Sort(left)
		// What waits for its envelope stays; what was refused has its reason beside it.
		if want := []string{" replay", "eml bad", "eml replay", "json bad", "json bad", "txt bad", "txt bad"}; !slices.Equal(left, want) {
			t.Errorf("left: %q, want %q", left, want)
		}
	})
}
