package hosts

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/deploy/e2e/harness"
	"github.com/postroad/postroad/deploy/e2e/wan"
)

// chain: all that alpha knows of the others it hears from beta, and between the two a
// firewall lets port 25 through, and nothing else.
//
//	alpha ──10── beta ──10── gamma
//	               \           | 10
//	                +───50─── delta
var chain = atlas{
	servers: []string{"alpha-1", "beta-1", "gamma-1", "delta-1"},
	links: []link{
		{a: "alpha", b: "beta", cost: 10}, {a: "beta", b: "gamma", cost: 10},
		{a: "gamma", b: "delta", cost: 10}, {a: "beta", b: "delta", cost: 50},
	},
}

// Link state goes over the mail port where the firewall lets nothing else
// through, changes far away reach the other side of it, and mail goes by them. When
// the firewall opens, gossip has its own port again.
func TestOnlyPort25(t *testing.T) {
	t.Parallel()
	w := start(t, chain, func(n *wan.Network) {
		for _, site := range []string{"beta", "gamma", "delta"} {
			n.Between("alpha", site, wan.Path{Only: []uint16{25}})
		}
	})
	l := w.mail()
	w.carrier("alpha-1", "beta-1", "smtp")
	w.carrier("beta-1", "alpha-1", "smtp")
	w.carrier("beta-1", "gamma-1", "grpc")
	w.same(20*time.Second, w.names()...)
	if n := w.net.Octets("alpha-1", "beta-1", 691) + w.net.Octets("beta-1", "alpha-1", 691); n != 0 {
		t.Errorf("%d octets passed the firewall on the gossip port", n)
	}
	metrics, err := w.node["alpha-1"].get("/metrics")
	if err != nil || !strings.Contains(metrics, `postroad_gossip_streams{carrier="smtp"} 1`) {
		t.Errorf("the metric does not say that one stream goes over SMTP (%v)", err)
	}

	w.way("alpha-1", "delta-1", "cost 30")
	w.cut("gamma", "delta")
	cut := time.Now()
	w.waitLogged("alpha-1", cut, "connector_down", "gamma-delta")
	heard := w.node["alpha-1"].logged(cut, "connector_down", "gamma-delta")
	t.Logf("alpha-1 heard of gamma-delta %v after beta-1, over port 25", heard.Sub(w.node["beta-1"].logged(cut, "connector_down", "gamma-delta")).Round(time.Millisecond))
	w.way("alpha-1", "delta-1", "cost 60")
	w.arrives(l, "alpha-1", "delta-1", 20*time.Second)
	w.heal("gamma", "delta")
	w.way("alpha-1", "delta-1", "cost 30")

	w.trouble("the firewall opens")
	for _, site := range []string{"beta", "gamma", "delta"} {
		w.net.Between("alpha", site, wan.Path{})
	}
	w.carrier("alpha-1", "beta-1", "grpc")
	w.carrier("beta-1", "alpha-1", "grpc")
	w.agree(30 * time.Second)

	t.Log("a connector asks for the mail port")
	w.apply("alpha-1", chain.connector("alpha", "beta", link{cost: 10, more: "  linkStateCarrier: smtp\n"})).OK(t)
	w.carrier("alpha-1", "beta-1", "smtp")
	w.agree(30 * time.Second)

	l.quiet()
	l.account()
}

// carrier waits until a node's stream to a neighbour goes over what is wanted.
func (w *world) carrier(node, neighbour, want string) {
	w.t.Helper()
	harness.Eventually(w.t, 40*time.Second, func() error {
		r := w.ctl(node, "linkstate", "list", "-o", "json", "--timeout", "5s")
		var list struct {
			Neighbours []struct {
				Server, Carrier string
				LastError       string `json:"last_error"`
			}
		}
		if err := json.Unmarshal([]byte(r.Stdout), &list); err != nil {
			return fmt.Errorf("exit code %d, %w: %s", r.Code, err, r.Stderr)
		}
		for _, n := range list.Neighbours {
			if n.Server == neighbour && n.Carrier == want {
				return nil
			}
		}
		return fmt.Errorf("%s has no stream to %s over %s: %+v", node, neighbour, want, list.Neighbours)
	})
}
