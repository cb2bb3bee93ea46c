package vserver

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"go.uber.org/zap"

	"github.com/postroad/postroad/store/directory"
)

// move is what one virtual server's listeners have to become.
type move struct {
	v         *virtual
	add, drop []string // bindings
	moved     bool     // the settings that hold name others
}

// bind opens and closes listeners until each virtual server has the bindings
// that it is configured with. A virtual server whose new bindings cannot all be
// opened keeps those it had: it is better reached at its old address than
// nowhere. A binding may also go from one virtual server to another; who gets
// it waits for who has it.
func (s *Set) bind(wanted []directory.VirtualServer) {
	var waiting []*move
	for _, e := range wanted {
		// With settings that cannot work new bindings do not come either: at a port for
		// another purpose the old rules would be wrong.
		if v := s.running[e.GUID]; v != nil && (len(v.listeners) == 0 || !s.unfit(e.Name)) {
			if m := moveOf(v, directory.Bindings(e.Spec)); len(m.add)+len(m.drop) > 0 {
				waiting = append(waiting, m)
			}
		}
	}
	for len(waiting) > 0 {
		ready := slices.IndexFunc(waiting, func(m *move) bool { return s.holder(m) == nil })
		if ready >= 0 {
			s.perform(waiting[ready])
			waiting = slices.Delete(waiting, ready, ready+1)
			continue
		}
		waiting = s.loosen(waiting)
	}
}

// unfit says whether the settings of a virtual server could not be taken over.
func (s *Set) unfit(name string) bool {
	return slices.ContainsFunc(s.faults, func(f *Fault) bool { return f.VirtualServer == name && f.Binding == "" })
}

func moveOf(v *virtual, want []string) *move {
	m := &move{v: v, moved: v.applied != nil && !slices.Equal(v.applied, want)}
	for _, b := range want {
		if v.listeners[b] == nil {
			m.add = append(m.add, b)
		}
	}
	for b := range v.listeners {
		if !slices.Contains(want, b) {
			m.drop = append(m.drop, b)
		}
	}
	slices.Sort(m.drop)
	return m
}

// holder is another virtual server that listens where m wants to.
func (s *Set) holder(m *move) *virtual {
	for _, other := range s.running {
		for held := range other.listeners {
			if other != m.v && slices.ContainsFunc(m.add, func(b string) bool { return overlap(b, held) }) {
				return other
			}
		}
	}
	return nil
}

// loosen deals with virtual servers that all wait for others. One whose holder
// will not move any more has a fault; if there is none such, they wait in a
// circle, and all let go at once.
func (s *Set) loosen(waiting []*move) []*move {
	for i, m := range waiting {
		h := s.holder(m)
		if !slices.ContainsFunc(waiting, func(o *move) bool { return o.v == h && len(o.drop) > 0 }) {
			for _, b := range m.add {
				s.faults = append(s.faults, &Fault{VirtualServer: m.v.name, Binding: b, Err: fmt.Errorf("virtual server %s still listens there", h.name)})
			}
			return slices.Delete(waiting, i, i+1)
		}
	}
	for _, m := range waiting {
		for _, b := range m.drop {
			s.unlisten(m.v, b)
		}
	}
	return waiting
}

// perform opens what is new, then closes what is old; the other way round only
// where one excludes the other.
func (s *Set) perform(m *move) {
	var closed []string
	for _, b := range m.drop {
		if slices.ContainsFunc(m.add, func(a string) bool { return overlap(a, b) }) {
			s.unlisten(m.v, b)
			closed = append(closed, b)
		}
	}
	var opened []string
	failed := false
	for _, b := range m.add {
		if err := s.listen(m.v, b); err != nil {
			failed = true
			s.faults = append(s.faults, &Fault{VirtualServer: m.v.name, Binding: b, Err: err})
			continue
		}
		opened = append(opened, b)
	}
	if !failed || len(m.drop) == 0 && !m.moved {
		for _, b := range m.drop {
			s.unlisten(m.v, b)
		}
		return
	}
	for _, a := range opened { // the old rules do not belong there
		s.unlisten(m.v, a)
	}
	for _, b := range closed {
		if err := s.listen(m.v, b); err != nil {
			s.faults = append(s.faults, &Fault{VirtualServer: m.v.name, Binding: b, Err: err})
		}
	}
}

// overlap says whether two bindings exclude each other. Port 0 is another port
// each time.
func overlap(a, b string) bool {
	hostA, portA, _ := net.SplitHostPort(a)
	hostB, portB, _ := net.SplitHostPort(b)
	if portA != portB || portA == "0" {
		return false
	}
	return everywhere(hostA) || everywhere(hostB) || hostA == hostB
}

func everywhere(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

func (s *Set) listen(v *virtual, binding string) error {
	l, err := s.deps.Listen(binding)
	if err != nil {
		return err
	}
	v.listeners[binding] = l
	v.rebound()
	v.log.Info("smtp_listening", zap.String("binding", binding), zap.Stringer("address", l.Addr()))
	s.opened = append(s.opened, func() { s.serve(v, binding, l, s.watched(v, l)) })
	return nil
}

// unlisten closes a binding; connections that came in by it live on.
func (s *Set) unlisten(v *virtual, binding string) {
	l := v.listeners[binding]
	if l == nil {
		return
	}
	delete(v.listeners, binding)
	v.rebound()
	l.Close()
	v.log.Info("smtp_listener_closed", zap.String("binding", binding))
}
