package hosts

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/deploy/e2e/harness"
	"github.com/postroad/postroad/deploy/e2e/wan"
)

// The organisation falls apart and comes together again.
func TestSites(t *testing.T) {
	t.Parallel()
	live(t, []step{{"partition", partition}, {"etcd alone", etcdAlone}, {"a bridgehead dies", bridgeheadDies}})
}

// East and north are cut off from hub, west and etcd. Changes of the directory are
// possible on one side alone; the other one says so and goes on with what it
// knows. Afterwards all know the same.
func partition(w *world, l *load) {
	across := [][2]string{{"hub", "east"}, {"hub", "north"}, {"west", "north"}, {"west", "east"}, {"etcd", "east"}, {"etcd", "north"}}
	w.trouble("east and north are cut off from hub, west and etcd")
	began := time.Now()
	for _, p := range across {
		w.net.Between(p[0], p[1], wan.Path{Cut: true})
	}
	const newcomer = "kind: Recipient\nname: newcomer\nspec: {addresses: [newcomer@example.test], mailbox: {homeServer: west-2}}\n"
	w.apply("hub-1", newcomer).OK(w.t)
	w.arrives(l, "east-1", "north-1", 30*time.Second)
	w.arrives(l, "west-1", "hub-2", 30*time.Second)
	harness.Eventually(w.t, 30*time.Second, func() error {
		if r := w.apply("east-1", strings.ReplaceAll(newcomer, "newcomer", "latecomer")); r.Code != 5 {
			return fmt.Errorf("a change without etcd: exit code %d, want 5\n%s%s", r.Code, r.Stdout, r.Stderr)
		}
		return nil
	})
	for _, n := range []string{"hub-1", "hub-2", "west-1", "west-2"} {
		w.waitLogged(n, began, "connector_down", "hub-east")
	}
	for _, n := range []string{"east-1", "east-2", "north-1"} {
		w.waitLogged(n, began, "connector_down", "east-hub")
	}
	w.same(30*time.Second, "hub-1", "hub-2", "west-1", "west-2")
	w.same(30*time.Second, "east-1", "east-2", "north-1")

	w.trouble("the network is whole")
	healed := time.Now()
	for _, p := range across {
		w.net.Between(p[0], p[1], wan.Path{})
	}
	w.net.Between("hub", "north", slow)
	w.agree(40 * time.Second)
	w.t.Logf("all nodes agree %v after the partition", time.Since(healed).Round(100*time.Millisecond))
	l.send("east-2", "to-the-newcomer@hosts.test", small, "newcomer")
	harness.Eventually(w.t, 20*time.Second, func() error {
		if !slices.ContainsFunc(w.mailbox("west-2", "newcomer"), func(m string) bool { return strings.Contains(m, "to-the-newcomer") }) {
			return fmt.Errorf("the newcomer has no mail")
		}
		return nil
	})
	w.apply("east-1", strings.ReplaceAll(newcomer, "newcomer", "latecomer")).OK(w.t)
}

// Nobody reaches etcd: mail flows, a change is refused, and afterwards it is not.
func etcdAlone(w *world, l *load) {
	w.trouble("etcd is cut off from everybody")
	sites := fourSites.groups()
	for _, s := range sites {
		w.net.Between("etcd", s, wan.Path{Cut: true})
	}
	const change = "kind: Recipient\nname: third\nspec: {addresses: [third@example.test], mailbox: {homeServer: hub-1}}\n"
	w.arrives(l, "west-1", "east-2", 20*time.Second)
	if r := w.apply("west-1", change); r.Code != 5 {
		w.t.Errorf("a change without etcd: exit code %d, want 5\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	w.trouble("etcd is back")
	for _, s := range sites {
		w.net.Between("etcd", s, wan.Path{})
	}
	harness.Eventually(w.t, 30*time.Second, func() error {
		if r := w.apply("west-1", change); r.Code != 0 {
			return fmt.Errorf("exit code %d: %s%s", r.Code, r.Stdout, r.Stderr)
		}
		return nil
	})
	w.agree(30 * time.Second)
}

// A bridgehead is killed in the middle of a large message; the other one of its
// site takes it, and what the dead one had taken is handed on when it is back.
func bridgeheadDies(w *world, l *load) {
	before := map[string]int64{}
	for _, hub := range []string{"hub-1", "hub-2"} {
		before[hub] = w.net.Octets("west-1", hub, 25)
	}
	l.send("west-1", "large@hosts.test", large, "east-1")
	victim := ""
	harness.Eventually(w.t, 10*time.Second, func() error {
		for hub, n := range before {
			if w.net.Octets("west-1", hub, 25)-n > int64(len(large)/8) {
				victim = hub
				return nil
			}
		}
		return fmt.Errorf("the large message does not leave west-1")
	})
	w.node[victim].kill()
	passed := w.net.Octets("west-1", victim, 25) - before[victim]
	w.t.Logf("with %d of %d octets of a message on their way to it", passed, len(large))
	if passed > int64(len(large)) {
		w.t.Errorf("the message was through before %s died", victim)
	}
	harness.Eventually(w.t, 30*time.Second, func() error {
		if !slices.ContainsFunc(w.mailbox("east-1", "east-1"), func(m string) bool { return strings.Contains(m, "large@hosts.test") }) {
			return fmt.Errorf("the large message is not in its mailbox")
		}
		return nil
	})
	w.arrives(l, "west-2", "east-2", 20*time.Second)
	w.trouble("%s starts again", victim)
	w.node[victim].start()
	w.node[victim].ready()
	w.agree(30 * time.Second)
}
