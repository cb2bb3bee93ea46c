package pipeline

import (
	"go.uber.org/zap"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/store/directory"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// drainable is an object that can be drained, with the state it is in.
type drainable struct{ kind, name string }

type drainState struct {
	mode directoryv1.DrainMode
	by   string
	why  string
}

// spec is what all specs have that can be drained.
type spec interface {
	GetDrain() directoryv1.DrainMode
	GetDrainNote() *directoryv1.DrainNote
}

// drainsOf lists what is drained.
func drainsOf(conf *directory.Configuration) map[drainable]drainState {
	all := make(map[drainable]drainState)
	note := func(kind, name string, s spec) {
		if s.GetDrain() != directoryv1.DrainMode_DRAIN_MODE_UNSPECIFIED {
			all[drainable{kind, name}] = drainState{s.GetDrain(), s.GetDrainNote().GetBy(), s.GetDrainNote().GetReason()}
		}
	}
	for _, s := range conf.Servers() {
		note(directory.KindServer, s.Name, s.Spec)
	}
	for _, c := range conf.RoutingGroupConnectors() {
		note(directory.KindRoutingGroupConnector, c.Name, c.Spec)
	}
	for _, c := range conf.SMTPConnectors() {
		note(directory.KindSMTPConnector, c.Name, c.Spec)
	}
	for _, c := range conf.ForeignConnectors() {
		note(directory.KindForeignConnector, c.Name, c.Spec)
	}
	return all
}

// drains tells the log of every node what is drained now, by whom and why, and
// publishes this server's own state, so that nodes learn it which cannot reach
// the directory. It is called from the one goroutine that takes over
// configurations.
func (p *Pipeline) drains(conf *directory.Configuration) {
	now := drainsOf(conf)
	log := p.cfg.Logger.Named("routing")
	for d, s := range now {
		if p.drained[d] != s {
			log.Info("drain_changed", zap.String("kind", d.kind), zap.String("name", d.name), zap.String("drain", directory.DrainWord(s.mode)),
				zap.String("was", directory.DrainWord(p.drained[d].mode)), zap.String("by", s.by), zap.String("reason", s.why))
		}
	}
	for d, s := range p.drained {
		if _, still := now[d]; !still {
			log.Info("drain_changed", zap.String("kind", d.kind), zap.String("name", d.name), zap.String("drain", directory.DrainWord(0)), zap.String("was", directory.DrainWord(s.mode)))
		}
	}
	p.drained = now
	p.links.SetDrain(ownDrain(conf, p.self))
}

func ownDrain(conf *directory.Configuration, self [16]byte) linkstate.Drain {
	s, _ := conf.ServerByGUID(directory.GUID(self))
	switch s.Spec.GetDrain() {
	case directoryv1.DrainMode_DRAIN_MODE_SOFT:
		return linkstate.DrainSoft
	case directoryv1.DrainMode_DRAIN_MODE_HARD:
		return linkstate.DrainHard
	}
	return linkstate.DrainNone
}
