// Package postroad holds only the test that keeps the import graph as designed.
package postroad

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/postroad/postroad/"

// rule says which packages of this module a package may import. A trailing
// slash means the package and all below it.
type rule struct {
	pkg     string
	imports []string
	// not lists packages outside the module that are forbidden.
	not []string
}

// pure packages decide and do nothing else: no network, no files, no clock of
// their own, no logging.
var impure = []string{"net", "os", "context", "log", "log/slog", "go.uber.org/zap", "google.golang.org/grpc", "go.etcd.io/etcd/client/v3"}

// rules is the whole import graph, in the order a message takes. A new edge
// needs a new entry here, and a reason in the commit.
var rules = []rule{
	{pkg: "linkstate", not: impure},
	{pkg: "linkstate/sim", imports: []string{"linkstate"}, not: impure},
	{pkg: "routing", not: impure},
	// filter is what administrators say of queues and messages; cmd/postroadctl explains it, queue and admin apply it.
	{pkg: "filter", not: impure},

	{pkg: "store/directory", imports: []string{"filter", "proto/"}},
	{pkg: "store/catalog", imports: []string{"proto/", "store/directory"}},
	{pkg: "store/spool", imports: []string{"proto/"}},

	{pkg: "node/mail"},
	{pkg: "node/mail/codec", imports: []string{"node/mail", "proto/"}},
	{pkg: "node/trust"},
	{pkg: "node/smtpd", imports: []string{"node/mail"}},
	// w3clog writes what vserver sees; it knows neither SMTP nor the directory.
	{pkg: "node/w3clog"},
	// smtpd and vserver are one stage: the engine, and what it is allowed to do.
	{pkg: "node/vserver", imports: []string{"node/mail", "node/mail/codec", "node/smtpd", "node/w3clog", "proto/", "store/directory"}},
	{pkg: "node/pickup", imports: []string{"node/mail", "node/mail/codec"}},
	{pkg: "node/submit", imports: []string{"node/mail", "node/mail/codec", "store/spool"}},
	{pkg: "node/categorize", imports: []string{"node/mail", "proto/", "store/directory"}},
	{pkg: "node/route", imports: []string{"node/mail", "proto/", "routing", "store/directory"}},
	{pkg: "node/queue", imports: []string{"filter", "node/mail", "node/mail/codec", "store/spool"}},
	// recode rewrites content for hosts that lack 8BITMIME or BINARYMIME: a stream in, a stream out.
	{pkg: "node/recode", not: impure},
	{pkg: "node/deliver", imports: []string{"node/mail", "node/recode"}},
	{pkg: "node/resolve", imports: []string{"node/mail"}},
	// dequeue decides when to ask providers for mail; deliver knows how.
	{pkg: "node/dequeue", imports: []string{"node/mail"}},
	{pkg: "node/dsn", imports: []string{"node/dsn/codes", "node/mail"}, not: impure},
	// codes are the words of reports; `postroadctl ndr explain` has them too.
	{pkg: "node/dsn/codes", imports: []string{"node/mail"}, not: impure},
	// badmail keeps what pipeline could not return and what vserver filtered; neither imports it.
	{pkg: "node/badmail", imports: []string{"node/mail"}},
	// pressure measures and judges; who refuses mail for it asks by a function of its own.
	{pkg: "node/pressure"},
	{pkg: "node/track", imports: []string{"node/mail"}},
	// load keeps its counts on disk in the form of the schema.
	{pkg: "node/load", imports: []string{"proto/"}, not: impure},
	// history keeps on disk what tables were made of, in the form of the schema.
	{pkg: "node/history", imports: []string{"proto/"}},
	// transport has the words of gRPC for those who tell people of a failed connection.
	{pkg: "node/transport", not: impure},
	{pkg: "node/gossip", imports: []string{"linkstate", "node/mail", "node/transport", "proto/"}},
	{pkg: "node/topo", imports: []string{"linkstate", "node/mail", "proto/", "routing", "store/directory"}, not: impure},
	// mailsim is a test only: the simulated link state of linkstate/sim, which may not
	// know routing, with the real map and the real routing on top of it.
	{pkg: "node/topo/mailsim"},
	// verify judges what nodes answered: admin passes on its verdict on all of them,
	// pipeline the one on this node's map.
	{pkg: "node/verify", imports: []string{"proto/", "routing"}, not: impure},
	{pkg: "node/admin", imports: []string{"filter", "node/mail", "node/transport", "node/verify", "proto/", "store/directory"}},

	{pkg: "node/pipeline", imports: []string{"filter", "linkstate", "node/", "proto/", "routing", "store/"}},
	{pkg: "node", imports: []string{"linkstate", "node/", "proto/", "routing", "store/"}},
	{pkg: "cmd/endpoints"},
	{pkg: "cmd/postroadctl/", imports: []string{"cmd/endpoints", "cmd/postroadctl/", "filter", "node/dsn/codes", "node/mail", "node/transport", "node/trust", "proto/", "store/directory"}},
	// node/mail, node/pickup, node/queue and store/spool: `postroad spool` and
	// `postroad sendmail` work without a node.
	{pkg: "cmd/postroad/", imports: []string{"cmd/endpoints", "cmd/postroad/", "deploy/scenarios", "node", "node/mail", "node/pickup", "node/queue", "node/trust", "proto/", "store/directory", "store/spool"}},
	// End-to-end folders see the product from outside only.
	{pkg: "deploy/", imports: []string{"cmd/endpoints", "deploy/"}},
	{pkg: "proto/", imports: []string{"proto/"}},
}

// Only these packages may use gRPC or etcd (design: "gRPC types appear only in
// gossip, admin, codecs and the CLI; etcd only in store/directory"). The etcd
// client's errors are gRPC's, and so are its redial settings.
var owners = map[string][]string{
	"google.golang.org/grpc": {"store/directory", "node/gossip", "node/admin", "cmd/postroadctl/", "cmd/postroad/", "proto/"},
	"go.etcd.io/etcd":        {"store/directory"},
	"github.com/cockroachdb": {"store/spool", "store/catalog", "deploy/bench"},
}

func TestLayers(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		if p.ImportPath+"/" == module {
			continue // this test
		}
		i := slices.IndexFunc(rules, func(r rule) bool { return within(name, r.pkg) })
		if i < 0 {
			t.Errorf("package %s stands in no layer: add a rule to layers_test.go, with the imports it needs", name)
			continue
		}
		for _, imp := range p.Imports {
			if err := allowed(rules[i], name, imp); err != nil {
				t.Errorf("%s imports %s: %v", name, imp, err)
			}
		}
	}
}

func allowed(r rule, name, imp string) error {
	if own, ok := strings.CutPrefix(imp, module); ok {
		if slices.ContainsFunc(r.imports, func(a string) bool { return within(own, a) }) {
			return nil
		}
		return fmt.Errorf("the layer allows %v only", r.imports)
	}
	if slices.Contains(r.not, imp) {
		return fmt.Errorf("a pure package decides and returns effects; perform them in its runner")
	}
	for lib, who := range owners {
		if strings.HasPrefix(imp, lib) && !slices.ContainsFunc(who, func(w string) bool { return within(name, w) }) {
			return fmt.Errorf("%s belongs to %v", lib, who)
		}
	}
	return nil
}

func within(name, pattern string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "/"); ok {
		return name == prefix || strings.HasPrefix(name, pattern)
	}
	return name == pattern
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p goPackage
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(p.ImportPath, module+"bin/") {
			continue // what the build leaves there is no part of the source
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("go list found only %d packages", len(all))
	}
	return all
}
