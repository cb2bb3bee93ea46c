package directory

import (
	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// WithPreset is the virtual server with what its preset says written into its
// fields; one without a preset comes back itself. A preset only ever tightens,
// so no field can weaken it. Snapshots hold virtual servers in this form.
func WithPreset(v *directoryv1.VirtualServer) *directoryv1.VirtualServer {
	preset := v.GetPreset()
	if preset == directoryv1.Preset_PRESET_UNSPECIFIED {
		return v
	}
	v = proto.CloneOf(v)
	v.Bindings = Bindings(v)
	if v.Tls == nil {
		v.Tls = &directoryv1.ServerTLS{}
	}
	if v.Authentication == nil {
		v.Authentication = &directoryv1.ServerAuthentication{}
	}
	// Nodes deliver to Server.smtpAddress, which is a general virtual server's.
	v.Authentication.NoIntegrated = true
	switch preset {
	case directoryv1.Preset_PRESET_SUBMISSION, directoryv1.Preset_PRESET_SUBMISSIONS:
		presetSubmission(v)
		v.Tls.Implicit = v.Tls.Implicit || preset == directoryv1.Preset_PRESET_SUBMISSIONS
	case directoryv1.Preset_PRESET_RELAY:
		v.Authentication.NoBasic = true
		v.Relay = proto.CloneOf(v.GetRelay())
		v.Relay.AllExcept, v.Relay.Force = false, false
	}
	return v
}

// presetSubmission is RFC 6409 sections 4.3 and 6.1 made duties, and RFC 8314
// section 3.3.
func presetSubmission(v *directoryv1.VirtualServer) {
	v.Tls.Required = true
	v.Authentication.Required = true
	v.Authentication.NoBasic, v.Authentication.BasicInClear = false, false
	v.Relay = nil
	if v.SenderPolicy == nil {
		v.SenderPolicy = &directoryv1.SenderPolicy{}
	}
	v.SenderPolicy.OwnAddressesOnly = true
}

// defaultBinding is RFC 6409 section 3.1 and RFC 8314 section 3.3.
func defaultBinding(p directoryv1.Preset) string {
	switch p {
	case directoryv1.Preset_PRESET_SUBMISSION:
		return ":587"
	case directoryv1.Preset_PRESET_SUBMISSIONS:
		return ":465"
	}
	return ":25"
}
