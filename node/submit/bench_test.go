package submit_test

import (
	"strings"
	"testing"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/submit"
	"github.com/postroad/postroad/store/spool"
)

// BenchmarkSubmit is acceptance on a real disk, sync included: 64 clients with
// messages of 10 KiB, as in the reference figures of the spool.
func BenchmarkSubmit(b *testing.B) {
	s, err := spool.Open(b.TempDir(), spool.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	sub := submit.New(submit.Config{Store: s, Group: func() mail.GUID { return mail.GUID{7} }})
	content := "Message-ID: <x@y>\r\nSubject: s\r\n\r\n" + strings.Repeat("All work and no play makes Jack a dull boy, over and over.\r\n", 172)
	b.SetParallelism(32) // of 2 processors
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if err := sub.Submit(submission(), strings.NewReader(content)); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
