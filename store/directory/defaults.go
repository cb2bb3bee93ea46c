package directory

import (
	"cmp"
	"net"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// DefaultHopCount is how many Received fields a message may have, unless its virtual
// server says otherwise.
const DefaultHopCount = 30

// MaxRecipients is how many recipients one sender may address in one message: 5,000,
// unless the organisation says otherwise (the book, chapter 5).
func MaxRecipients(o *directoryv1.Organization) int {
	return cmp.Or(int(o.GetMaxRecipients()), 5000)
}

// Ports of a server whose addresses are not written down.
const (
	PortSMTP   = 25
	PortGossip = 691
	PortAdmin  = 6910
)

// SMTPAddress is the "host:port" where other nodes deliver to the server.
func SMTPAddress(s *directoryv1.Server) string {
	return addressOr(s.GetSmtpAddress(), s.GetFqdn(), PortSMTP)
}

// GossipAddress is the "host:port" where other nodes gossip with the server.
func GossipAddress(s *directoryv1.Server) string {
	return addressOr(s.GetGossipAddress(), s.GetFqdn(), PortGossip)
}

// AdminAddress is the "host:port" of the server's admin service.
func AdminAddress(s *directoryv1.Server) string {
	return addressOr(s.GetAdminAddress(), s.GetFqdn(), PortAdmin)
}

func addressOr(address, host string, port int) string {
	if address != "" {
		return address
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// Bindings are the "address:port" on which a virtual server listens.
func Bindings(v *directoryv1.VirtualServer) []string {
	if b := v.GetBindings(); len(b) > 0 {
		return b
	}
	return []string{defaultBinding(v.GetPreset())}
}

// LinkStateTimings are the organisation's timings with the defaults filled in.
type LinkStateTimings struct {
	Keepalive, SuspectAfter, RefuteWithin, AntiEntropy time.Duration
	DivergedAfter                                      time.Duration
}

// LinkState fills in the defaults; o may be nil.
func LinkState(o *directoryv1.Organization) LinkStateTimings {
	t := o.GetLinkState()
	compare := durationOr(t.GetAntiEntropy(), 60*time.Second)
	return LinkStateTimings{
		Keepalive:     durationOr(t.GetKeepalive(), 5*time.Second),
		SuspectAfter:  durationOr(t.GetSuspectAfter(), 15*time.Second),
		RefuteWithin:  durationOr(t.GetRefuteWithin(), 15*time.Second),
		AntiEntropy:   compare,
		DivergedAfter: durationOr(t.GetDivergedAfter(), 3*compare),
	}
}

// RetryTimes is a virtual server's retry clock with the defaults filled in.
type RetryTimes struct {
	First, Second, Third, Subsequent time.Duration
	DelayNotice, Expiration          time.Duration
	// For mailboxes of the server; 0: as for all.
	LocalDelayNotice, LocalExpiration time.Duration
	// For messages of these priorities; 0: as for all.
	HighDelayNotice, HighExpiration time.Duration
	LowDelayNotice, LowExpiration   time.Duration
	StalledAfter                    time.Duration
}

// Retry fills in the defaults of the book, chapter 5; r may be nil.
func Retry(r *directoryv1.RetryClock) RetryTimes {
	return RetryTimes{
		First:       durationOr(r.GetFirst(), 10*time.Minute),
		Second:      durationOr(r.GetSecond(), 10*time.Minute),
		Third:       durationOr(r.GetThird(), 10*time.Minute),
		Subsequent:  durationOr(r.GetSubsequent(), 15*time.Minute),
		DelayNotice: durationOr(r.GetDelayNotice(), 12*time.Hour),
		Expiration:  durationOr(r.GetExpiration(), 48*time.Hour),

		LocalDelayNotice: r.GetLocalDelayNotice().AsDuration(),
		LocalExpiration:  r.GetLocalExpiration().AsDuration(),
		HighDelayNotice:  r.GetHighPriority().GetDelayNotice().AsDuration(),
		HighExpiration:   r.GetHighPriority().GetExpiration().AsDuration(),
		LowDelayNotice:   r.GetLowPriority().GetDelayNotice().AsDuration(),
		LowExpiration:    r.GetLowPriority().GetExpiration().AsDuration(),
		StalledAfter:     durationOr(r.GetStalledAfter(), 5*time.Minute),
	}
}

// DetectionTimes is a connector's detection with the defaults filled in.
type DetectionTimes struct {
	GlitchRetries                 int
	GlitchInterval, ProbeInterval time.Duration
	IdleProbeInterval             time.Duration // zero: a link that is up is not probed
	SuppressStateChanges          bool
	Damping                       DampingTimes
}

// DampingTimes is a connector's damping with the defaults filled in.
type DampingTimes struct {
	Disabled                 bool
	Penalty, Suppress, Reuse int
	HalfLife, Maximum        time.Duration
}

// Detection fills in the defaults; d may be nil.
func Detection(d *directoryv1.Detection) DetectionTimes {
	t := DetectionTimes{
		GlitchRetries:  3,
		GlitchInterval: durationOr(d.GetGlitchInterval(), 60*time.Second),
		ProbeInterval:  durationOr(d.GetProbeInterval(), 60*time.Second),

		IdleProbeInterval: d.GetIdleProbeInterval().AsDuration(),

		SuppressStateChanges: d.GetSuppressStateChanges(),
	}
	if d != nil && d.GlitchRetries != nil {
		t.GlitchRetries = int(d.GetGlitchRetries())
	}
	t.Damping = damping(d.GetDamping(), t.ProbeInterval)
	return t
}

// damping follows the probe interval: a link can flap as fast as it is looked at.
func damping(d *directoryv1.Damping, probe time.Duration) DampingTimes {
	half := durationOr(d.GetHalfLife(), 5*probe)
	return DampingTimes{
		Disabled: d.GetDisabled(),
		Penalty:  cmp.Or(int(d.GetPenalty()), 1000),
		Suppress: cmp.Or(int(d.GetSuppress()), 3000),
		Reuse:    cmp.Or(int(d.GetReuse()), 1000),
		HalfLife: half,
		Maximum:  durationOr(d.GetMaximum(), 3*half),
	}
}

func durationOr(d *durationpb.Duration, fallback time.Duration) time.Duration {
	if d == nil || d.AsDuration() == 0 {
		return fallback
	}
	return d.AsDuration()
}

// SmartHosts reads a list of smart hosts with commas between them.
func SmartHosts(list string) []string {
	var hosts []string
	for h := range strings.SplitSeq(list, ",") {
		if h = strings.TrimSpace(h); h != "" {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// Cost is a connector's or address space's cost: 1 if it is not written.
func Cost(c int32) int { return max(int(c), 1) }

// Weight is a connector's or bridgehead's weight: 1 if it is not written.
func Weight(w int32) int { return max(int(w), 1) }
