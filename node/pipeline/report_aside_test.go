package pipeline

import (
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/mail/codec"
	"github.com/postroad/postroad/node/queue"
	"github.com/postroad/postroad/store/directory"
	"github.com/postroad/postroad/store/spool"
)

// The postmaster's notice is in the spool when SetAside returns; there are as many in
// an hour as reports, and none where nobody is postmaster.
func TestNoticeToThePostmaster(t *testing.T) {
	p := newPipeline(t)
	organization := "{postmaster: chief@example.test, reports: {perSender: 2}}"
	r := newReporter(p)
	r.config = func() *directory.Configuration {
		objs, err := directory.DecodeYAML(strings.NewReader("kind: Organization\nname: x\nspec: "+organization), "t")
		if err != nil {
			t.Fatal(err)
		}
		objs[0].Metadata.Guid = mail.GUID{1}.String()
		conf, err := directory.NewConfiguration(1, objs)
		if err != nil {
			t.Fatal(err)
		}
		return conf
	}
	a := queue.Aside{ID: mail.NewID(time.Now(), [10]byte{7}), Damage: codec.Damage{At: time.Now(), Reason: "the envelope is broken"}}
	for i := range 3 {
		id, err := r.SetAside(a)
		if err != nil || id.IsZero() != (i == 2) {
			t.Fatalf("notice %d: %s, %v", i, id, err)
		}
		if i == 2 {
			break
		}
		st, err := p.cfg.Spool.Load(spool.ID(id))
		if err != nil {
			t.Fatal(err)
		}
		env, err := codec.DecodeEnvelope(st.Envelope)
		if err != nil || !env.Null() || !env.System || env.Recipients[0].Address.String() != "chief@example.test" || env.Recipients[0].Notify != mail.NotifyNever {
			t.Errorf("%v: %+v", err, env)
		}
		text := stored(t, p.cfg.Spool, spool.ID(id))
		for _, want := range []string{a.ID.String(), "the envelope is broken", "postroadctl queue quarantine release", "--node paris-1", "paris-1.example.test"} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
	}
	organization = "{}"
	if id, err := r.SetAside(a); err == nil || !id.IsZero() {
		t.Errorf("without a postmaster: %s %v", id, err)
	}
}
