package topo

import (
	"maps"
	"strings"
	"testing"

	"github.com/postroad/postroad/node/mail"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

func TestCarriers(t *testing.T) {
	const (
		auto = directoryv1.LinkStateCarrier_LINK_STATE_CARRIER_AUTO
		grpc = directoryv1.LinkStateCarrier_LINK_STATE_CARRIER_GRPC
		smtp = directoryv1.LinkStateCarrier_LINK_STATE_CARRIER_SMTP
	)
	p1, p2, o1 := mail.GUID(guid("paris-1")), mail.GUID(guid("paris-2")), mail.GUID(guid("oslo-1"))
	for name, k := range map[string]struct {
		there, back string // fields of paris-oslo and of oslo-paris
		self        mail.GUID
		want        map[mail.GUID]directoryv1.LinkStateCarrier
	}{
		"nothing is said":         {"", "", o1, map[mail.GUID]directoryv1.LinkStateCarrier{p1: auto, p2: auto}},
		"from the other end":      {"", "", p1, map[mail.GUID]directoryv1.LinkStateCarrier{o1: auto}},
		"one of two asks":         {"", "linkStateCarrier: smtp", p2, map[mail.GUID]directoryv1.LinkStateCarrier{o1: smtp}},
		"only between its ends":   {"", "linkStateCarrier: smtp", p1, map[mail.GUID]directoryv1.LinkStateCarrier{o1: auto}},
		"smtp goes before grpc":   {"linkStateCarrier: grpc", "linkStateCarrier: smtp", o1, map[mail.GUID]directoryv1.LinkStateCarrier{p1: grpc, p2: smtp}},
		"grpc goes before auto":   {"linkStateCarrier: AUTO", "linkStateCarrier: grpc", p2, map[mail.GUID]directoryv1.LinkStateCarrier{o1: grpc}},
		"a server outside of all": {"", "", mail.GUID(guid("nobody")), map[mail.GUID]directoryv1.LinkStateCarrier{}},
	} {
		t.Run(name, func(t *testing.T) {
			yaml := strings.Replace(organization, "  onLinkDown: hold\n", "  "+k.there+"\n", 1)
			yaml = strings.Replace(yaml, "disabled: true}", "disabled: true, "+k.back+"}", 1)
			if got := Carriers(configuration(t, yaml), k.self); !maps.Equal(got, k.want) {
				t.Errorf("got %v, want %v", got, k.want)
			}
		})
	}
}
