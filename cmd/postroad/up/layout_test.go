package up

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A unix socket's path has little room, a data folder's may be long.
func TestSocket(t *testing.T) {
	short := layout("/srv/lab")
	if got, want := short.socket("oslo-1"), "/srv/lab/run/oslo-1.sock"; got != want {
		t.Errorf("socket %s, want %s", got, want)
	}
	name := "oslo-1"
	exact := layout("/" + strings.Repeat("d", maxSocketPath-len("//run/"+name+".sock")))
	if got := exact.socket(name); len(got) != maxSocketPath || !strings.HasPrefix(got, string(exact)) {
		t.Errorf("a path of exactly %d octets became %s", maxSocketPath, got)
	}
	long, other := layout("/"+strings.Repeat("d", 200)), layout("/"+strings.Repeat("e", 200))
	got := long.socket(name)
	if len(got) > maxSocketPath || !strings.HasPrefix(got, os.TempDir()) || filepath.Base(got) != name+".sock" {
		t.Errorf("a long path became %s", got)
	}
	if got != long.socket(name) {
		t.Error("a second start would look elsewhere")
	}
	if got == other.socket(name) {
		t.Error("two data folders share a socket")
	}
}
