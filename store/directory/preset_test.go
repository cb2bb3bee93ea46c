package directory

import (
	"testing"

	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

func TestPresetsOnlyTighten(t *testing.T) {
	reckless := &directoryv1.VirtualServer{
		Relay:          &directoryv1.RelayPolicy{Networks: []string{"0.0.0.0/0"}, AllExcept: true, Force: true},
		Authentication: &directoryv1.ServerAuthentication{BasicInClear: true},
	}
	for preset, want := range map[directoryv1.Preset]struct {
		binding                               string
		tls, implicit, auth, noBasic, ownOnly bool
		relays                                bool
	}{
		directoryv1.Preset_PRESET_UNSPECIFIED: {binding: ":25", relays: true},
		directoryv1.Preset_PRESET_SUBMISSION:  {binding: ":587", tls: true, auth: true, ownOnly: true},
		directoryv1.Preset_PRESET_SUBMISSIONS: {binding: ":465", tls: true, implicit: true, auth: true, ownOnly: true},
		directoryv1.Preset_PRESET_RELAY:       {binding: ":25", noBasic: true, relays: true},
	} {
		v := proto.CloneOf(reckless)
		v.Preset = preset
		got := WithPreset(v)
		if Bindings(got)[0] != want.binding || got.GetTls().GetRequired() != want.tls || got.GetTls().GetImplicit() != want.implicit ||
			got.GetAuthentication().GetRequired() != want.auth || got.GetAuthentication().GetNoBasic() != want.noBasic ||
			got.GetSenderPolicy().GetOwnAddressesOnly() != want.ownOnly || (got.GetRelay() != nil) != want.relays {
			t.Errorf("%v: %v", preset, got)
		}
		if preset != 0 && (got.GetRelay().GetAllExcept() || got.GetRelay().GetForce() || !got.GetAuthentication().GetNoIntegrated() ||
			got.GetTls().GetRequired() && got.GetAuthentication().GetBasicInClear()) {
			t.Errorf("%v is weakened: %v", preset, got)
		}
		if !proto.Equal(v.Relay, reckless.Relay) || !proto.Equal(v.Authentication, reckless.Authentication) {
			t.Errorf("%v: the stored object was changed", preset)
		}
	}
}
