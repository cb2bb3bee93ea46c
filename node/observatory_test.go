package node

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/trust"
)

func fetch(t *testing.T, address, path string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// A node that is still booting can be watched: alive, not ready, and how far.
func TestObservatoryWhileBooting(t *testing.T) {
	address := freeAddresses(t, net.IPv4(127, 0, 0, 1), 1)[0]
	n := &Node{deps: Deps{Manager: nobody{}}, cfg: Config{Name: "paris-1", Metrics: address}, ready: make(chan struct{}), log: zap.NewNop()}
	p := newParts(n.log)
	if _, err := newObservatory(n, p); err != nil {
		t.Fatal(err)
	}
	defer p.stopAll()
	for _, step := range []struct {
		reach string
		code  int
		body  string
	}{
		{"", http.StatusServiceUnavailable, "booting: reached nothing"},
		{"spool", http.StatusServiceUnavailable, "booting: reached spool"},
		{"ready", http.StatusOK, "ready"},
	} {
		if step.reach != "" {
			n.reached(step.reach)
		}
		if step.reach == "ready" {
			close(n.ready)
		}
		if code, body := fetch(t, address, "/readyz"); code != step.code || strings.TrimSpace(body) != step.body {
			t.Errorf("/readyz: %d %q, want %d %q", code, body, step.code, step.body)
		}
		if code, body := fetch(t, address, "/healthz"); code != http.StatusOK || strings.TrimSpace(body) != "ok" {
			t.Errorf("/healthz: %d %q", code, body)
		}
	}
	if _, err := newObservatory(n, p); err == nil || !strings.Contains(err.Error(), "set metrics to another address") {
		t.Errorf("a second one on the same port: %v", err)
	}
}

func TestObservatoryOff(t *testing.T) {
	n := &Node{deps: Deps{Manager: nobody{}}, cfg: Config{Name: "paris-1", Metrics: "off"}, ready: make(chan struct{}), log: zap.NewNop()}
	p := newParts(n.log)
	if _, err := newObservatory(n, p); err != nil {
		t.Fatal(err)
	}
	if len(p.list) != 0 {
		t.Errorf("parts %v, want none", p.list)
	}
}

// Everything that runs in a node names its metrics by Prometheus' conventions:
// one prefix, base units, the unit last but for _total, and labels without bound
// (an address, a message, a domain) nowhere.
func TestMetricNames(t *testing.T) {
	c := startCluster(t)
	l := newLetter("alice@example.test", "olav@example.test", "counted")
	c.mustSend("paris-1", l)
	c.awaitCopy("oslo-1", "olav@example.test", l)

	_, text := fetch(t, c.members["paris-1"].cfg.Metrics, "/metrics")
	if !strings.Contains(text, `postroad_ledger_messages_total{line="accepted"} 1`) || !strings.Contains(text, `postroad_ledger_recipients_total{line="relayed"} 1`) {
		t.Errorf("the ledger does not say what became of the letter:\n%s", text)
	}
	families := parseMetrics(text)
	for _, want := range []string{"postroad_info", "postroad_spool_messages", "postroad_queue_messages", "postroad_catalog_age_seconds", "postroad_links_down", "postroad_message_events_total", "postroad_ledger_messages_total", "postroad_ledger_off", "postroad_queue_stalls_total"} {
		if families[want] == nil {
			t.Errorf("no metric %s", want)
		}
	}
	for name, f := range families {
		if strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") {
			continue // made by Prometheus' own library
		}
		for _, fault := range f.faults(name) {
			t.Errorf("%s: %s", name, fault)
		}
	}
}

// family is what /metrics says of one metric.
type family struct {
	help, kind string
	labels     []string
}

// parseMetrics reads Prometheus' text format.
func parseMetrics(text string) map[string]*family {
	all := make(map[string]*family)
	var now *family
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			name, help, _ := strings.Cut(rest, " ")
			now = &family{help: help}
			all[name] = now
		} else if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			_, now.kind, _ = strings.Cut(rest, " ")
		} else {
			for _, l := range labelName.FindAllStringSubmatch(line, -1) {
				now.labels = append(now.labels, l[1])
			}
		}
	}
	return all
}

var (
	metricName = regexp.MustCompile(`^postroad(_[a-z][a-z0-9]*)+$`)
	labelName  = regexp.MustCompile(`[{,]([a-zA-Z_]+)="`)
	scaledUnit = regexp.MustCompile(`_(ms|us|ns|millis|milliseconds|microseconds|minutes|hours|days|kb|mb|kib|mib|kilobytes|megabytes|percent)(_|$)`)
	// bounded are the labels whose values are few: not an address, a message, a domain.
	bounded = []string{"action", "by", "carrier", "event", "frame", "kind", "level", "line", "node", "resource", "result", "state", "unit", "version", "virtual_server", "le"}
)

func (f *family) faults(name string) []string {
	var all []string
	if !metricName.MatchString(name) {
		all = append(all, "want postroad_ and words in lower case")
	}
	if scaledUnit.MatchString(name) {
		all = append(all, "want base units: seconds, bytes, ratio")
	}
	if f.help == "" {
		all = append(all, "has no help")
	}
	if (f.kind == "counter") != strings.HasSuffix(name, "_total") {
		all = append(all, "is a "+f.kind+": counters, and only they, end in _total")
	}
	for _, l := range f.labels {
		if !slices.Contains(bounded, l) {
			all = append(all, "label "+l+": is the number of its values bounded?")
		}
	}
	return all
}

// Why a node waits for its configuration.
func TestMissing(t *testing.T) {
	for revision, want := range map[int64][2]string{
		0: {"nothing has been read", "directory_watch_interrupted"},
		7: {"revision 7, has no Organization or no Server called paris-1", "postroad import"},
	} {
		if reason, cure := missing("paris-1", revision); !strings.Contains(reason, want[0]) || !strings.Contains(cure, want[1]) {
			t.Errorf("revision %d: %q, %q", revision, reason, cure)
		}
	}
}

// Stopping before the directory was ever reached is a clean stop.
func TestStopWhileWaitingForConfiguration(t *testing.T) {
	c := &cluster{t: t, dir: t.TempDir(), members: map[string]*member{}}
	var err error
	if c.ca, err = trust.OpenAuthority(filepath.Join(c.dir, "ca"), "example", time.Now()); err != nil {
		t.Fatal(err)
	}
	files := c.issue(trust.Name{Organization: "example", Role: trust.RoleServer, Name: "paris-1"})
	free := freeAddresses(t, net.IPv4(127, 0, 0, 1), 2)
	n, err := New(Config{
		Name: "paris-1", Organization: "example", Data: c.dir, TLS: files, Metrics: free[0],
		Etcd: EtcdConfig{Endpoints: []string{"https://" + free[1]}},
	}, Deps{Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	eventually(t, patience, func() error {
		if b := n.Boot(); len(b) == 0 || b[len(b)-1].Name != "directory" {
			return fmt.Errorf("reached %v, want directory", b)
		}
		return nil
	})
	if code, body := fetch(t, free[0], "/readyz"); code != http.StatusServiceUnavailable || strings.TrimSpace(body) != "booting: reached directory" {
		t.Errorf("/readyz: %d %q", code, body)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("stopped with %v", err)
	}
}
