package linkstate

import "time"

// Members is what the directory says: who exists, who belongs together, who
// sends over which connector. It is never changed after it was handed over.
type Members struct {
	Self       GUID
	Servers    []Member
	Connectors []ConnectorInfo
}

// Member is one server of the organisation.
type Member struct {
	Server GUID
	Group  GUID
}

// ConnectorInfo is one connector with its ends as server GUIDs.
type ConnectorInfo struct {
	GUID  GUID
	Group GUID // source routing group
	// Local are the bridgeheads that send over it. Where the directory lists
	// none, whoever builds Members names all servers of the source group.
	Local []GUID
	// Remote are the servers that receive over it, resolved in the same way;
	// empty for a connector that leads out of the organisation.
	Remote []GUID
	// Detection; the zero value stands for the defaults.
	Detection Detection
}

// Timings of the organisation. A value that is zero or negative stands for the default.
type Timings struct {
	Keepalive    time.Duration // between neighbours; default 5s
	SuspectAfter time.Duration // silence after which a watched server is suspected; default 15s
	RefuteWithin time.Duration // time a suspect has before it is declared down; default 15s
	AntiEntropy  time.Duration // between two comparisons with a random neighbour; default 60s
	// DivergedAfter: a neighbour whose table differs in the same way for so long is
	// told of by [Diverged]; default three times AntiEntropy.
	DivergedAfter time.Duration
}

// Defaults of Timings.
const (
	DefaultKeepalive    = 5 * time.Second
	DefaultSuspectAfter = 15 * time.Second
	DefaultRefuteWithin = 15 * time.Second
	DefaultAntiEntropy  = 60 * time.Second
)

func (t Timings) withDefaults() Timings {
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{
		{&t.Keepalive, DefaultKeepalive},
		{&t.SuspectAfter, DefaultSuspectAfter},
		{&t.RefuteWithin, DefaultRefuteWithin},
		{&t.AntiEntropy, DefaultAntiEntropy},
	} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	if t.DivergedAfter <= 0 {
		t.DivergedAfter = 3 * t.AntiEntropy
	}
	return t
}

// Detection says how a bridgehead finds out that one connector is down, and up again.
type Detection struct {
	// GlitchRetries is how many retries of a failed connection must fail too
	// before the connector is down; 0 means the first failure is enough.
	GlitchRetries  int
	GlitchInterval time.Duration // between them; zero: 60s
	ProbeInterval  time.Duration // between probes of a down connector; zero: 60s
	// IdleProbe has a connector probed that is up and over which nothing was tried
	// for this long; zero: never, mail finds out.
	IdleProbe time.Duration
	// SuppressStateChanges keeps the connector up whatever happens on it: routing
	// by cost alone, for a line that is known to be bad and has no alternative.
	SuppressStateChanges bool
	Damping              Damping
}

// Defaults of Detection.
const (
	DefaultGlitchRetries  = 3
	DefaultGlitchInterval = 60 * time.Second
	DefaultProbeInterval  = 60 * time.Second
)

func (d Detection) withDefaults() Detection {
	if d == (Detection{}) || d.GlitchRetries < 0 {
		d.GlitchRetries = DefaultGlitchRetries
	}
	if d.GlitchInterval <= 0 {
		d.GlitchInterval = DefaultGlitchInterval
	}
	if d.ProbeInterval <= 0 {
		d.ProbeInterval = DefaultProbeInterval
	}
	d.Damping = d.Damping.withDefaults(d.ProbeInterval)
	return d
}
