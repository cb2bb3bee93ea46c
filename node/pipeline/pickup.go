package pipeline

import (
	"errors"
	"path/filepath"

	"github.com/postroad/postroad/node/pickup"
	"github.com/postroad/postroad/node/pressure"
	"github.com/postroad/postroad/node/submit"
	"github.com/postroad/postroad/store/directory"
)

// newPickup takes from a folder below the node's data, that of pairs or the other.
func (p *Pipeline) newPickup(folder string) (*pickup.Pickup, error) {
	return pickup.New(pickup.Config{
		Dir:       filepath.Join(p.cfg.Data, folder),
		Pairs:     folder == pickup.Replay,
		Submit:    p.submit.Submit,
		Temporary: temporary,
		Closed: func() string {
			if level, of := p.cfg.Pressure.Level(); level == pressure.High {
				return "the node is short of room: " + of.String()
			}
			return ""
		},
		Hostname: func() string { return p.cfg.Self.Spec.GetFqdn() },
		// That of a virtual server that says nothing else: the folder belongs to none.
		HopLimit: func() int { return directory.DefaultHopCount },
		MaxSize:  func() int64 { return p.cfg.Catalog.Config().Organization().Spec.GetMaxMessageSize() },
		Logger:   p.cfg.Logger.Named("pickup"),
	})
}

// temporary says whether acceptance may succeed later.
func temporary(err error) bool {
	var r *submit.Refusal
	return errors.As(err, &r) && r.Reply().Code/100 == 4
}
