package postroad

import (
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

const deliveryPage = "docs/delivery.md"

// deliveryRows are those of the table of what is proven in the page, by four cells:
// behaviour, rule, setting, tests.
func deliveryRows(t *testing.T) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile(deliveryPage)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "<!-- proven -->\n")
	table, _, also := strings.Cut(rest, "<!-- end of proven -->")
	if !ok || !also {
		t.Fatalf("%s has no %q and %q", deliveryPage, "<!-- proven -->", "<!-- end of proven -->")
	}
	for line := range strings.SplitSeq(table, "\n") {
		if cells := tableRow(line); cells != nil {
			if len(cells) != 4 {
				t.Errorf("%s: %d cells, not 4: %s", deliveryPage, len(cells), line)
				continue
			}
			rows = append(rows, cells)
		}
	}
	return rows
}

// Each behaviour of delivery names a rule and a test that exists, and each setting is one
// of the directory.
func TestDeliveryPage(t *testing.T) {
	tests, rows := testSources(t), deliveryRows(t)
	if len(rows) < 50 {
		t.Errorf("%d rows; where are the others?", len(rows))
	}
	for _, r := range rows {
		if r[0] == "" || r[1] == "" {
			t.Errorf("a row without a behaviour or a rule: %q", r)
		}
		names := quoted.FindAllStringSubmatch(r[3], -1)
		if len(names) == 0 {
			t.Errorf("%q names no test", r[0])
		}
		for _, n := range names {
			if err := tests.find(n[1]); err != nil {
				t.Errorf("%q: %v", r[0], err)
			}
		}
		for _, n := range quoted.FindAllStringSubmatch(r[2], -1) {
			if !isSetting(n[1]) {
				t.Errorf("%q: no kind of object has the field %s", r[0], n[1])
			}
		}
	}
}

// isSetting says whether some kind of object has a field at the path, "outbound.port".
func isSetting(path string) bool {
	kinds := (&directoryv1.Object{}).ProtoReflect().Descriptor().Oneofs().ByName("spec").Fields()
	for i := range kinds.Len() {
		if hasPath(kinds.Get(i).Message(), strings.Split(path, ".")) {
			return true
		}
	}
	return false
}

func hasPath(m protoreflect.MessageDescriptor, path []string) bool {
	f := m.Fields().ByJSONName(path[0])
	if f == nil || len(path) == 1 {
		return f != nil
	}
	return f.Message() != nil && hasPath(f.Message(), path[1:])
}

// A mistake is found.
func TestSettingsCanBeMissing(t *testing.T) {
	for path, want := range map[string]bool{"outbound.port": true, "smartHosts": true, "outbound.ports": false, "smartHosts.x": false, "port": false, "": false} {
		if isSetting(path) != want {
			t.Errorf("%q: %v", path, !want)
		}
	}
}
