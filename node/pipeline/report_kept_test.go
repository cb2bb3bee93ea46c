package pipeline

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/dsn"
	"github.com/postroad/postroad/node/load"
	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/queue"
	"github.com/postroad/postroad/store/directory"
)

// A restart gives no new allowance; a file that cannot be read costs the counts alone.
func TestReportBoundsSurviveARestart(t *testing.T) {
	p := newPipeline(t)
	counts, bad := filepath.Join(t.TempDir(), "reports"), t.TempDir()
	objs, err := directory.DecodeYAML(strings.NewReader("kind: Organization\nname: x\nspec: {reports: {perSender: 2}}"), "t")
	if err != nil {
		t.Fatal(err)
	}
	objs[0].Metadata.Guid = mail.GUID{1}.String()
	conf, err := directory.NewConfiguration(1, objs)
	if err != nil {
		t.Fatal(err)
	}
	start := func() *reporter {
		r := newReporter(p)
		r.config, r.counts, r.badmail = func() *directory.Configuration { return conf }, counts, bad
		r.restore(time.Now())
		return r
	}
	n := byte(0)
	report := func(r *reporter) int {
		t.Helper()
		n++
		env := &mail.Envelope{ID: mail.ID{n}, From: target(t, "victim@example.org").Address}
		all, err := r.Report(queue.ReportFailure, env, []mail.Target{target(t, "x@example.net")}, []mail.Outcome{{Status: mail.StatusUnknownUser}}, content("Subject: x\r\n\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		discard(all)
		return len(all)
	}
	r := start()
	for i, want := range []int{1, 1, 0} {
		if got := report(r); got != want {
			t.Errorf("report %d: %d written, want %d", i, got, want)
		}
	}
	r.save(time.Now())
	r = start()
	if got := report(r); got != 0 {
		t.Error("the restart gave a new allowance")
	}
	if list, err := os.ReadDir(bad); err != nil || len(list) != 4 {
		t.Errorf("%d files of badmail, want those of two messages: %v", len(list), err)
	}
	if err := os.WriteFile(counts, []byte("?"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := report(start()); got != 1 {
		t.Error("after a file that cannot be read nothing is reported")
	}
}

// The counts go to disk by the clock while the node runs: a killed node forgets the
// last of them only.
func TestReportCountsAreSavedByTheClock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "reports")
	synctest.Test(t, func(t *testing.T) {
		r := &reporter{counts: path}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { r.run(ctx); close(done) }()
		r.bound.Take(time.Now(), dsn.Limits{PerSender: 1}, "victim@example.org", "")
		time.Sleep(boundSaved + time.Second)
		synctest.Wait()
		b, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(b), "victim@example.org") {
			t.Errorf("%q %v", b, err)
		}
		cancel()
		<-done
	})
}

// Counts that a full disk did not take are written when it has room, though nothing was
// counted since: those of reports and those of load.
func TestCountsAreSavedAfterAFullDisk(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "away")
	reports, loads := filepath.Join(folder, "reports"), filepath.Join(folder, "load")
	now := time.Now()
	r := &reporter{counts: reports, log: zap.NewNop()}
	r.bound.Take(now, dsn.Limits{PerSender: 1}, "victim@example.org", "")
	traffic := newTraffic(loads, zap.NewNop(), now)
	traffic.Sent(load.Purpose{Connector: "internet"}, 9, true, now)
	for path, save := range map[string]func(time.Time){reports: r.save, loads: traffic.save} {
		save(now)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		save(now)
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
	}
}
