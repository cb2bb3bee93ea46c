package pipeline

import (
	"testing"

	"github.com/postroad/postroad/node/mail"
	trackingv1 "github.com/postroad/postroad/proto/postroad/tracking/v1"
)

// Each kind of event has its name outside: a number says nothing to who follows a message.
func TestEventKindsHaveNames(t *testing.T) {
	kinds := 0
	for k := mail.EventReceive; k.String() != ""; k++ {
		kinds++
		if got, want := trackingv1.EventKind(k).String(), "EVENT_KIND_"+k.String(); got != want {
			t.Errorf("%s is called %s", want, got)
		}
	}
	if kinds != len(trackingv1.EventKind_name)-1 {
		t.Errorf("%d kinds, %d names", kinds, len(trackingv1.EventKind_name)-1)
	}
}
