package vserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

// Set runs the virtual servers of one node. It is safe for many goroutines.
type Set struct {
	deps    Deps
	metrics *metrics
	wg      sync.WaitGroup // listeners and the ends of removed virtual servers
	// ending bounds the ends of removed virtual servers.
	crowd  crowd
	ending context.Context
	cut    context.CancelFunc

	mu      sync.Mutex
	running map[directory.GUID]*virtual
	faults  []*Fault
	opened  []func()           // listeners that nobody serves yet
	status  map[string]*Status // by name
	closed  bool
}

// Fault is what keeps a virtual server, or one of its bindings, from working.
type Fault struct {
	VirtualServer string
	Binding       string // "" if the fault is not of one binding
	Err           error
}

// Error names the virtual server and the binding.
func (f *Fault) Error() string {
	if f.Binding == "" {
		return fmt.Sprintf("virtual server %s: %v", f.VirtualServer, f.Err)
	}
	return fmt.Sprintf("virtual server %s: cannot listen on %s: %v; free the port or change bindings", f.VirtualServer, f.Binding, f.Err)
}

// Unwrap gives the cause.
func (f *Fault) Unwrap() error { return f.Err }

// Address is one binding in use.
type Address struct {
	VirtualServer string
	Binding       string // as configured, ":25"
	Addr          net.Addr
}

// NewSet builds the set; nothing listens before Start.
func NewSet(deps Deps) *Set {
	s := &Set{deps: deps.withDefaults(), running: map[directory.GUID]*virtual{}, status: map[string]*Status{}}
	s.crowd.max = int64(s.deps.MaxConnections)
	s.metrics = newMetrics(s, deps.Metrics)
	s.ending, s.cut = context.WithCancel(context.Background())
	return s
}

// Start listens for every virtual server that the configuration has for this
// node. The error joins the [Fault]s; virtual servers without a fault run all
// the same, so it is the caller's choice to go on or to Shutdown.
func (s *Set) Start() error {
	s.Update()
	var errs []error
	for _, f := range s.Faults() {
		errs = append(errs, f)
	}
	return errors.Join(errs...)
}

// Update makes the set agree with the configuration of now. Call it when that
// has changed. What did not change is not touched; what failed before is tried
// again; what fails now is logged, listed by Faults and told by Status, and
// leaves what ran before running.
func (s *Set) Update() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	before := s.faults
	s.faults = nil
	conf := s.deps.Directory.Config()
	self, _ := conf.ServerByGUID(directory.GUID(s.deps.Self))
	all := conf.VirtualServersOf(self.Name)
	var wanted []directory.VirtualServer
	for _, e := range all {
		if e.Spec.GetState() != directoryv1.RunState_RUN_STATE_STOPPED {
			wanted = append(wanted, e)
		}
	}
	s.remove(wanted)
	prepared := s.prepare(wanted, conf)
	s.bind(wanted)
	for _, e := range wanted {
		if apply := prepared[e.GUID]; apply != nil && !s.stays(s.running[e.GUID], e) {
			apply()
		}
	}
	for _, serve := range s.opened { // whose first client finds the rules that belong there
		s.wg.Go(serve)
	}
	s.opened = nil
	for _, f := range s.faults {
		if !slices.ContainsFunc(before, f.same) {
			s.deps.Logger.Error("virtual_server_fault", zap.String("virtual_server", f.VirtualServer),
				zap.String("binding", f.Binding), zap.Error(f.Err))
		}
	}
	s.judge(all)
}

func (f *Fault) same(g *Fault) bool {
	return f.VirtualServer == g.VirtualServer && f.Binding == g.Binding && f.Err.Error() == g.Err.Error()
}

// remove ends virtual servers that are gone or stopped. Their connections end
// after the message they are at.
func (s *Set) remove(wanted []directory.VirtualServer) {
	for guid, v := range s.running {
		if slices.ContainsFunc(wanted, func(e directory.VirtualServer) bool { return e.GUID == guid }) {
			continue
		}
		for b := range v.listeners {
			s.unlisten(v, b)
		}
		delete(s.running, guid)
		s.wg.Go(func() {
			ctx, cancel := context.WithTimeout(s.ending, removalGrace)
			defer cancel()
			v.engine.Shutdown(ctx)
			v.close()
		})
	}
}

// removalGrace is how long a removed virtual server may take to finish the
// messages that are being received.
const removalGrace = time.Minute

// prepare reads the settings of all; where they cannot work a new one stays out, and
// an old one keeps its rules.
func (s *Set) prepare(wanted []directory.VirtualServer, conf *directory.Configuration) map[directory.GUID]func() {
	all := make(map[directory.GUID]func(), len(wanted))
	for _, e := range wanted {
		v := s.running[e.GUID]
		if v == nil {
			v = newVirtual(s.deps, s.metrics, e.Name)
		}
		apply, err := v.prepare(e, conf)
		if err != nil {
			s.faults = append(s.faults, &Fault{VirtualServer: e.Name, Err: err})
			continue
		}
		all[e.GUID], s.running[e.GUID] = apply, v
	}
	return all
}

// stays says whether a virtual server that should have moved could not: then what was
// meant for the new place does not hold at the old one.
func (s *Set) stays(v *virtual, e directory.VirtualServer) bool {
	failed := slices.ContainsFunc(s.faults, func(f *Fault) bool { return f.VirtualServer == e.Name && f.Binding != "" })
	return failed && v.applied != nil && !slices.Equal(v.applied, directory.Bindings(e.Spec))
}

// serve feeds the engine until the listener is closed. One that ends by itself
// leaves a fault, so that Run opens it again.
func (s *Set) serve(v *virtual, binding string, l, watched net.Listener) {
	err := v.engine.Serve(watched)
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.listeners[binding] != l || s.closed {
		return
	}
	delete(v.listeners, binding)
	v.rebound()
	s.faults = append(s.faults, &Fault{VirtualServer: v.name, Binding: binding, Err: err})
	v.log.Error("smtp_listener_failed", zap.String("binding", binding), zap.Error(err))
	s.judgeRunning()
}

// Periods of Run.
const (
	// retryFaults is how often a port that was taken is tried again.
	retryFaults = 10 * time.Second
	// lookAtFiles is how often certificate files are looked at, also those that
	// could not be read.
	lookAtFiles = time.Second
)

// Run tries faulty virtual servers again until ctx ends (a port gets free, a
// certificate file appears), and reads certificates again that have changed.
func (s *Set) Run(ctx context.Context) error {
	retry, look := time.NewTicker(retryFaults), time.NewTicker(lookAtFiles)
	defer retry.Stop()
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
			s.renewCertificates()
			s.lookAtLogs()
			if slices.ContainsFunc(s.Faults(), func(f *Fault) bool { return f.Binding == "" }) {
				s.Update() // a file appears
			}
		case <-retry.C:
			if len(s.Faults()) > 0 {
				s.Update()
			}
		}
	}
}

// renewCertificates reads changed certificate files. New connections get the new
// certificate; open ones are not touched.
func (s *Set) renewCertificates() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.running {
		if v.certs == nil {
			continue
		}
		changed, err := v.certs.reload()
		if changed {
			v.log.Info("certificate_renewed", zap.Int("certificates", len(v.certs.files)))
		}
		if err == nil {
			err = v.certs.invalid(time.Now())
		}
		if text := textOf(err); text != textOf(v.certFault) {
			v.certFault = err
			if err != nil {
				v.log.Error("certificate_fault", zap.Error(err))
			}
			s.judgeRunning()
		}
	}
}

// lookAtLogs brings protocol logs that fail, or work again, into the states.
func (s *Set) lookAtLogs() {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := false
	for _, v := range s.running {
		if text := textOf(v.writeFault()); text != v.logSaid {
			v.logSaid, changed = text, true
		}
	}
	if changed {
		s.judgeRunning()
	}
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Faults lists what does not work now.
func (s *Set) Faults() []*Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.faults)
}

// Addresses lists the bindings in use, by virtual server.
func (s *Set) Addresses() []Address {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Address
	for _, v := range s.running {
		for b, l := range v.listeners {
			list = append(list, Address{v.name, b, l.Addr()})
		}
	}
	slices.SortFunc(list, func(a, b Address) int {
		return cmp.Or(cmp.Compare(a.VirtualServer, b.VirtualServer), cmp.Compare(a.Binding, b.Binding))
	})
	return list
}

// Connections is how many clients are connected to all virtual servers.
func (s *Set) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, v := range s.running {
		n += v.engine.Connections()
	}
	return n
}

// Shutdown stops listening, lets messages in transfer finish and be answered,
// and returns when nothing of the set runs any more. When ctx ends first, the
// rest is cut and ctx's error returned. A set cannot be started again.
func (s *Set) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	var list []*virtual
	for _, v := range s.running {
		list = append(list, v)
	}
	s.mu.Unlock()
	defer s.cut()
	defer context.AfterFunc(ctx, s.cut)()
	errs := make([]error, len(list))
	var wg sync.WaitGroup
	for i, v := range list {
		wg.Go(func() {
			errs[i] = v.engine.Shutdown(ctx)
			v.close()
		})
	}
	wg.Wait()
	s.wg.Wait()
	return errors.Join(errs...)
}
