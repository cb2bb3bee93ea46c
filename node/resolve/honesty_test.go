package resolve

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// What is no answer to the question is none: a name server that is set up wrongly, or
// lies, bounces nothing, and the next one is asked.
func TestAnswersThatAreNone(t *testing.T) {
	for _, lie := range []string{"no recursion", "no recursion, NXDOMAIN", "referral", "other type", "other name", "other class", "cut over TCP", "silent over TCP"} {
		t.Run(lie, func(t *testing.T) {
			liar, honest := newZone(t), newZone(t, "x.example. 300 MX 10 a.example.", "a.example. 300 A 192.0.2.1")
			liar.change(func() { liar.lame = lie })
			hosts, err := liar.resolver(t).MX(t.Context(), "x.example")
			if err == nil || class(t, err) != "temporary 4.4.3" {
				t.Errorf("%v, %v", hosts, err)
			}
			r := liar.resolver(t, func(o *Options) { o.Servers = []string{liar.addr, honest.addr} })
			if hosts, err := r.MX(t.Context(), "x.example"); err != nil || names(hosts) != "a.example[192.0.2.1]" {
				t.Errorf("with an honest server beside it: %v, %v", hosts, err)
			}
		})
	}
}

// Records of other names, types and classes in an answer are nobody's.
func TestStrayRecords(t *testing.T) {
	m := new(dns.Msg)
	m.SetQuestion("x.example.", dns.TypeA)
	for _, s := range []string{"y.example. 60 A 192.0.2.6", "x.example. 60 AAAA 2001:db8::6", "x.example. 60 CH A 192.0.2.7", "X.Example. 60 A 192.0.2.1", "z.example. 60 CNAME x.example."} {
		rr, err := dns.NewRR(strings.Replace(s, " CH ", " IN ", 1))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(s, " CH ") {
			rr.Header().Class = dns.ClassCHAOS
		}
		m.Answer = append(m.Answer, rr)
	}
	a := answer{found: true, until: time.Unix(3600, 0)}
	if next := a.add(m, question{"x.example.", dns.TypeA}, time.Unix(0, 0)); next != "" || len(a.records) != 1 || !a.records[0].(*dns.A).A.Equal([]byte{192, 0, 2, 1}) {
		t.Errorf("%q, %v", next, a.records)
	}
}

// A hundred who ask the same at once are one question, and all get its answer.
func TestEqualQuestionsAreMerged(t *testing.T) {
	z := newZone(t, "x.example. 300 MX 10 a.example.", "a.example. 300 A 192.0.2.1")
	hold := make(chan struct{})
	z.change(func() { z.hold = hold })
	r := z.resolver(t)
	const askers = 100
	var wg sync.WaitGroup
	got := make([]string, askers)
	for i := range askers {
		wg.Go(func() {
			hosts, err := r.MX(t.Context(), "X.example")
			got[i] = fmt.Sprint(names(hosts), err)
		})
	}
	for r.Stats().Shared < askers-1 { // all wait for one answer
		runtime.Gosched()
	}
	close(hold)
	wg.Wait()
	for _, g := range got {
		if g != "a.example[192.0.2.1]<nil>" {
			t.Fatal(g)
		}
	}
	for _, q := range []string{"udp x.example. MX", "udp a.example. A", "udp a.example. AAAA"} {
		if n := z.asked(q); n != 1 {
			t.Errorf("%s: asked %d times", q, n)
		}
	}
	if len(r.flights) != 0 {
		t.Errorf("%d questions are still on their way", len(r.flights))
	}
}

// Who gives up costs the others nothing; when all have, the question is over, and the
// next one asks anew.
func TestGivingUpAQuestion(t *testing.T) {
	z := newZone(t, "x.example. 300 A 192.0.2.1")
	hold := make(chan struct{})
	z.change(func() { z.hold = hold })
	r := z.resolver(t)
	ask := func(ctx context.Context) chan error {
		done := make(chan error, 1)
		go func() {
			list, err := r.Listed(ctx, "x.example")
			if err == nil && len(list) != 1 {
				err = fmt.Errorf("%v", list)
			}
			done <- err
		}()
		return done
	}
	waiting := func(n int) {
		t.Helper()
		for {
			r.flying.Lock()
			f := r.flights[question{"x.example.", dns.TypeA}]
			ok := f == nil && n == 0 || f != nil && f.askers == n
			r.flying.Unlock()
			if ok {
				return
			}
			runtime.Gosched()
		}
	}
	impatient, cancel := context.WithCancel(t.Context())
	first := ask(impatient)
	waiting(1)
	patient, give := context.WithCancel(t.Context())
	second := ask(patient)
	waiting(2)
	cancel()
	if err := <-first; err == nil || class(t, err) != "temporary 4.4.3" {
		t.Errorf("the first: %v", err)
	}
	waiting(1)
	third := ask(t.Context())
	waiting(2)
	close(hold)
	for _, c := range []chan error{second, third} {
		if err := <-c; err != nil {
			t.Error(err)
		}
	}
	give()
	waiting(0)

	hold = make(chan struct{})
	z.change(func() { z.hold, z.rr["y.example. A"] = hold, z.rr["x.example. A"] })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Listed(ctx, "y.example"); err == nil {
		t.Error("an answer that nobody gave")
	}
	if len(r.flights) != 0 {
		t.Error("a question without askers is on its way")
	}
	close(hold)
	if _, err := r.Listed(t.Context(), "x.example"); err != nil {
		t.Error(err)
	}
}

// The families take turns, so that one that does not work costs one attempt.
func TestFamiliesTakeTurns(t *testing.T) {
	z := newZone(t, "x.example. 300 A 192.0.2.1", "x.example. 300 A 192.0.2.2", "x.example. 300 A 192.0.2.3", "x.example. 300 AAAA 2001:db8::1", "x.example. 300 AAAA 2001:db8::2")
	for four, want := range map[bool]string{
		true:  "[192.0.2.1 2001:db8::1 192.0.2.2 2001:db8::2 192.0.2.3]",
		false: "[2001:db8::1 192.0.2.1 2001:db8::2 192.0.2.2 192.0.2.3]",
	} {
		got, err := z.resolver(t, func(o *Options) { o.PreferIPv4 = four }).Addrs(t.Context(), "x.example")
		if fmt.Sprint(got) != want || err != nil {
			t.Errorf("%v %v, want %s", got, err, want)
		}
	}
}

// One family that fails does not hide the other; with none of the other, nobody knows.
func TestOneFamilyFails(t *testing.T) {
	z := newZone(t, "six.example. 300 AAAA 2001:db8::1", "four.example. 300 A 192.0.2.1", "none.example. 300 TXT x")
	z.change(func() {
		for _, q := range []string{"six.example. A", "four.example. AAAA", "none.example. AAAA"} {
			z.code[q] = dns.RcodeServerFailure
		}
	})
	r := z.resolver(t)
	for name, want := range map[string]string{"six.example": "2001:db8::1", "four.example": "192.0.2.1"} {
		if got, err := r.Addrs(t.Context(), name); err != nil || !slices.Equal(got, []netip.Addr{netip.MustParseAddr(want)}) {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
	if _, err := r.Addrs(t.Context(), "none.example"); err == nil || class(t, err) != "temporary 4.4.3" {
		t.Errorf("none.example: %v", err)
	}
}

// A domain with very many hosts makes a bounded number of questions, and this host is
// found among equals, however many they are.
func TestManyHosts(t *testing.T) {
	var records []string
	for i := range 60 {
		records = append(records, fmt.Sprintf("far.example. 300 MX 10 gone%d.example.", i))
	}
	for i := range 15 {
		records = append(records, fmt.Sprintf("h%02d.example. 300 A 192.0.2.%d", i, i+1),
			fmt.Sprintf("equal.example. 300 MX 10 h%02d.example.", i), fmt.Sprintf("named.example. 300 MX 10 h%02d.example.", i),
			fmt.Sprintf("rising.example. 300 MX %d h%02d.example.", i, i))
	}
	records = append(records, "named.example. 300 MX 10 me.example.")
	z := newZone(t, records...)
	z.change(func() { z.cut = true }) // sixty do not fit into a datagram
	self := netip.MustParseAddr("192.0.2.15")
	for domain, want := range map[string]string{"far.example": "permanent 5.4.4", "equal.example": "permanent 5.3.5", "named.example": "permanent 5.3.5"} {
		r := z.resolver(t, func(o *Options) { o.IsSelf = func(a netip.Addr) bool { return a == self } })
		if hosts, err := r.MX(t.Context(), domain); err == nil || class(t, err) != want {
			t.Errorf("%s: %v, %v", domain, hosts, err)
		}
	}
	looks := 0
	for i := range 60 {
		looks += z.asked(fmt.Sprintf("udp gone%d.example. A", i))
	}
	if looks != maxLooks {
		t.Errorf("%d of 60 hosts looked for, want %d", looks, maxLooks)
	}
	for _, domain := range []string{"rising.example", "equal.example"} {
		trace, hosts, err := z.resolver(t).Trace(t.Context(), domain)
		left := 0
		for _, h := range trace.Hosts {
			if h.LeftOut == beyondBest {
				left++
			}
		}
		if err != nil || len(hosts) != maxHosts || hosts[0].Name != "h00.example" || left != 5 {
			t.Errorf("%s: %d hosts, %d left out, %v", domain, len(hosts), left, err)
		}
	}
}

// An answer of thousands of records is used, and not kept; whether the server says that
// it does not fit into a datagram, or sends one that is too large.
func TestHugeAnswer(t *testing.T) {
	var records []string
	for i := range 2000 {
		records = append(records, fmt.Sprintf("x.example. 300 A 10.0.%d.%d", i>>8, i&255))
	}
	for _, cut := range []bool{true, false} {
		z := newZone(t, records...)
		z.change(func() { z.cut = cut })
		r := z.resolver(t)
		list, err := r.Addrs(t.Context(), "x.example")
		if err != nil || len(list) != 2000 {
			t.Fatalf("%d, %v", len(list), err)
		}
		if got := r.Stats().Kept; got != 1 { // AAAA: none
			t.Errorf("%d answers kept", got)
		}
	}
}
