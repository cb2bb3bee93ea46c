package vserver

import (
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// admission says who may connect (the book, chapter 5, "Connection control").
type admission struct {
	list clientList
	only bool
	// also is a second list of which a client must be (preset relay).
	also *clientList
}

func newAdmission(v *directoryv1.VirtualServer) admission {
	c := v.GetConnectionControl()
	a := admission{list: newClientList(c.GetNetworks(), c.GetDomains()), only: c.GetOnly()}
	if v.GetPreset() == directoryv1.Preset_PRESET_RELAY {
		l := newClientList(v.GetRelay().GetNetworks(), v.GetRelay().GetDomains())
		a.also = &l
	}
	return a
}

// admit is nil for who may connect. A DNS that is silent keeps nobody out whom
// only his name would keep out, and makes wait whom only his name would let in.
func (a *admission) admit(c client) error {
	listed, err := a.list.has(c)
	switch {
	case a.only && !listed && err != nil:
		return hostUnknown(421, err)
	case a.only != listed:
		return notAdmitted()
	case a.also == nil:
		return nil
	}
	if listed, err = a.also.has(c); !listed && err != nil {
		return hostUnknown(421, err)
	} else if !listed {
		return notAdmitted()
	}
	return nil
}
