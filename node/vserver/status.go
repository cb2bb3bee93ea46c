package vserver

import (
	"cmp"
	"slices"
	"strings"
	"time"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// States of a virtual server.
const (
	StateRunning  = "running"
	StatePaused   = "paused"
	StateStopped  = "stopped"
	StateDegraded = "degraded" // a part does not work, or what ran before runs on
	StateFailed   = "failed"   // nothing works
)

// Status is what a node made of a VirtualServer object.
type Status struct {
	Name   string
	State  string
	Reason string // why it is not as the object says; "" if it is
	Since  time.Time

	Addresses   []string // "address:port" in use
	Connections int
}

// Status lists the virtual servers of this node by name, those that are stopped
// included.
func (s *Set) Status() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Status, 0, len(s.status))
	for _, st := range s.status {
		list = append(list, *st)
	}
	slices.SortFunc(list, func(a, b Status) int { return cmp.Compare(a.Name, b.Name) })
	for i := range list {
		for _, v := range s.running {
			if v.name != list[i].Name {
				continue
			}
			for _, l := range v.listeners {
				list[i].Addresses = append(list[i].Addresses, l.Addr().String())
			}
			slices.Sort(list[i].Addresses)
			list[i].Connections = v.engine.Connections()
		}
	}
	return list
}

// judge brings the states up to date.
func (s *Set) judge(all []directory.VirtualServer) {
	for name := range s.status {
		if !slices.ContainsFunc(all, func(e directory.VirtualServer) bool { return e.Name == name }) {
			delete(s.status, name)
		}
	}
	for _, e := range all {
		state, reason := s.stateOf(e)
		old := s.status[e.Name]
		switch {
		case old == nil:
			s.status[e.Name] = &Status{Name: e.Name, State: state, Reason: reason, Since: time.Now()}
		case old.State != state || old.Reason != reason:
			*old = Status{Name: e.Name, State: state, Reason: reason, Since: time.Now()}
		}
	}
}

// judgeRunning is judge without a new configuration.
func (s *Set) judgeRunning() {
	conf := s.deps.Directory.Config()
	self, _ := conf.ServerByGUID(directory.GUID(s.deps.Self))
	s.judge(conf.VirtualServersOf(self.Name))
}

func (s *Set) stateOf(e directory.VirtualServer) (state, reason string) {
	if e.Spec.GetState() == directoryv1.RunState_RUN_STATE_STOPPED {
		return StateStopped, ""
	}
	var reasons []string
	for _, f := range s.faults {
		if f.VirtualServer == e.Name {
			reasons = append(reasons, strings.TrimPrefix(f.Error(), "virtual server "+e.Name+": "))
		}
	}
	v := s.running[e.GUID]
	if v != nil {
		for _, err := range []error{v.certFault, v.logFault, v.writeFault()} {
			if err != nil {
				reasons = append(reasons, err.Error())
			}
		}
	}
	reason = strings.Join(reasons, "; ")
	switch {
	case v == nil || len(v.listeners) == 0:
		return StateFailed, reason
	case reason != "":
		return StateDegraded, reason
	case e.Spec.GetState() == directoryv1.RunState_RUN_STATE_PAUSED:
		return StatePaused, ""
	}
	return StateRunning, ""
}
