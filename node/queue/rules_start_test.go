package queue

import (
	"bytes"
	"runtime"
	"testing"
	"time"
)

// Rules that come while the queues are made known are not replaced by those of before.
func TestRulesThatComeAtTheStart(t *testing.T) {
	g := newRig()
	r := New(Config{Store: g.store, Router: g.router, Agent: g.agent, Categorizer: g.dir, Reporter: g.reporter})
	defer r.abort()
	r.rules.mu.Lock()
	ended := make(chan error, 1)
	go func() { ended <- r.recover() }()
	for buf := make([]byte, 1<<20); !waitsForRules(buf[:runtime.Stack(buf, true)]); {
		time.Sleep(time.Millisecond)
	}
	r.rules.list = []Rule{{Name: "new", Order: byHand}} // as SetRules does
	r.rules.mu.Unlock()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if list := r.Rules(); len(list) != 1 || list[0].Name != "new" {
		t.Errorf("rules %+v", list)
	}
}

// waitsForRules finds the goroutine that makes the queues known before that lock.
func waitsForRules(stacks []byte) bool {
	for stack := range bytes.SplitSeq(stacks, []byte("\n\n")) {
		if bytes.Contains(stack, []byte("(*Runner).recover")) && bytes.Contains(stack, []byte("(*RWMutex).Lock")) {
			return true
		}
	}
	return false
}
