package bench

import (
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var profiles = flag.String("profiles", "", "folder for a CPU profile of the node in each row; the figures suffer a little")

// upFlags let the node serve profiles if they are wanted.
func upFlags() []string {
	if *profiles == "" {
		return nil
	}
	return []string{"--pprof"}
}

// profile asks the node for a CPU profile of the second that begins now, and
// returns what waits for it. The last round's stays.
func (r relay) profile(b *testing.B) (wait func()) {
	if *profiles == "" || r.metrics == "" {
		return func() {}
	}
	done := make(chan error, 1)
	go func() {
		done <- fetch("http://"+r.metrics+"/debug/pprof/profile?seconds=1", filepath.Join(*profiles, strings.ReplaceAll(b.Name(), "/", "-")+".pprof"))
	}()
	return func() {
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
}

func fetch(url, file string) error {
	res, err := http.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	all, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	return os.WriteFile(file, all, 0o600)
}
