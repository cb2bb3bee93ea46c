package pipeline

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/postroad/postroad/node/load"
	"github.com/postroad/postroad/node/mail"
	topologyv1 "github.com/postroad/postroad/proto/postroad/topology/v1"
)

// loadSaved is how often the counts of load go to disk: what a killed node loses.
const loadSaved = 10 * time.Second

// traffic counts what leaves this node, and keeps the counts on disk.
type traffic struct {
	*load.Counter
	path string
	log  *zap.Logger
}

// newTraffic goes on with the counts of the last run. A file that cannot be read
// loses numbers only, so it is no reason not to start.
func newTraffic(path string, log *zap.Logger, now time.Time) *traffic {
	t := &traffic{load.New(now), path, log}
	b, err := os.ReadFile(path)
	if err == nil {
		err = t.Restore(b, now)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("load_restore_failed", zap.String("path", path), zap.Error(err), zap.String("cure", "none needed: counting begins anew"))
	}
	return t
}

// run saves until ctx ends, and then once more.
func (t *traffic) run(ctx context.Context) {
	tick := time.NewTicker(loadSaved)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			t.save(time.Now())
			return
		case now := <-tick.C:
			t.save(now)
		}
	}
}

func (t *traffic) save(now time.Time) {
	b, err := t.File(now)
	if b == nil && err == nil {
		return
	}
	if err == nil {
		err = replace(t.path, b)
	}
	if err != nil {
		t.Unsaved()
		t.log.Warn("load_not_saved", zap.String("path", t.path), zap.Error(err))
	}
}

// replace writes a file so that a reader finds the old one or the new one.
func replace(path string, b []byte) error {
	next := path + ".new"
	if err := os.WriteFile(next, b, 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// RunLoad keeps the counts of what is sent on disk until ctx ends.
func (p *Pipeline) RunLoad(ctx context.Context) error {
	p.traffic.run(ctx)
	return nil
}

// sent counts a message that left.
func (p *Pipeline) sent(e *mail.Event) {
	d := e.Sent.Destination
	to := load.Purpose{Connector: e.Connector}
	if d.Place == mail.PlaceForeign {
		to.Space = p.routes.Space(d)
	} else {
		to.Group = groupName(p.cfg.Catalog.Config(), d.Server)
	}
	p.traffic.Sent(to, e.Size, e.Sent.Entered, e.At)
}

// Traffic is what left this node in the last day, and what waits to.
func (p *Pipeline) Traffic() *topologyv1.TrafficResponse {
	now := time.Now()
	out := &topologyv1.TrafficResponse{
		Node: p.cfg.Self.Name, Group: p.Group(), SinceUnixMs: p.traffic.Since(now).UnixMilli(), Queued: p.queuedOver(),
	}
	for _, f := range p.traffic.Flows(now) {
		out.Flows = append(out.Flows, &topologyv1.Flow{
			Connector: f.Connector, TargetGroup: f.Group, AddressSpace: f.Space, Messages: f.Messages, Bytes: f.Bytes,
			EnteredMessages: f.Entered, EnteredBytes: f.EnteredBytes,
		})
	}
	return out
}
