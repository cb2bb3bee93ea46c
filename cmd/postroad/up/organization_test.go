package up

import (
	"net"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/postroad/postroad/deploy/scenarios"
	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

func demo(t *testing.T) []*directoryv1.Object {
	t.Helper()
	objs, err := readOrganization("three-sites.yaml", scenarios.ThreeSites)
	if err != nil {
		t.Fatal(err)
	}
	return objs
}

func placed(t *testing.T, objs []*directoryv1.Object, basePort int) *organization {
	t.Helper()
	o, err := place(objs, basePort)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// named finds an object of the organisation.
func (o *organization) named(t *testing.T, kind, name string) *directoryv1.Object {
	t.Helper()
	i := slices.IndexFunc(o.objects, func(o *directoryv1.Object) bool {
		return o.GetMetadata().GetKind() == kind && o.GetMetadata().GetName() == name
	})
	if i < 0 {
		t.Fatalf("no %s is called %s", kind, name)
	}
	return o.objects[i]
}

// every is each address that the organisation listens on.
func (o *organization) every() []string {
	all := slices.Clone(o.etcd[:])
	for _, s := range o.servers {
		all = append(all, s.gossip, s.admin, s.metrics)
	}
	for _, obj := range o.objects {
		all = append(all, obj.GetVirtualServer().GetBindings()...)
	}
	return all
}

func TestPlaceKeepsLoopbackAddresses(t *testing.T) {
	objs := demo(t)
	o := placed(t, objs, 0)
	if o.name != "example" || len(o.servers) != 5 || o.moved {
		t.Fatalf("organisation %q, %d servers, moved %v", o.name, len(o.servers), o.moved)
	}
	want := server{"berlin-1", "berlin", "127.0.0.1:2503", "127.0.0.1:6903", "127.0.0.1:6953", loopback(defaultBasePort + 5)}
	if o.servers[0] != want {
		t.Errorf("got  %+v\nwant %+v", o.servers[0], want)
	}
	for i, obj := range demo(t) {
		if !proto.Equal(obj, objs[i]) {
			t.Errorf("%s was changed", obj.GetMetadata().GetName())
		}
	}
}

func TestPlaceMoves(t *testing.T) {
	another := &directoryv1.Object{
		Metadata: &directoryv1.Metadata{Kind: "VirtualServer", Name: "oslo-1-submission"},
		Spec:     &directoryv1.Object_VirtualServer{VirtualServer: &directoryv1.VirtualServer{Server: "oslo-1", Bindings: []string{":587", ":465"}}},
	}
	for name, tc := range map[string]struct {
		basePort int
		change   func(*organization)
		first    int
	}{
		"to --base-port":                  {30000, nil, 30000},
		"off a host's own address":        {0, func(o *organization) { o.named(t, "Server", "oslo-1").GetServer().SmtpAddress = "192.0.2.1:25" }, defaultBasePort},
		"off a name":                      {0, func(o *organization) { o.named(t, "Server", "oslo-1").GetServer().AdminAddress = "oslo:6950" }, defaultBasePort},
		"off a port that anybody may get": {0, func(o *organization) { o.named(t, "Server", "oslo-1").GetServer().GossipAddress = "127.0.0.1:0" }, defaultBasePort},
		"to the last ports there are":     {65535 - 2 - 5*portsPerNode - len(demo(t)) - 1, nil, 65535 - 2 - 5*portsPerNode - len(demo(t)) - 1},
	} {
		t.Run(name, func(t *testing.T) {
			objs := append(demo(t), proto.CloneOf(another))
			if tc.change != nil {
				tc.change(&organization{objects: objs})
			}
			o := placed(t, objs, tc.basePort)
			if !o.moved || o.etcd[0] != loopback(tc.first) {
				t.Errorf("moved %v, etcd at %s; want it at %s", o.moved, o.etcd[0], loopback(tc.first))
			}
			all := o.every()
			if !onLoopback(all...) {
				t.Errorf("addresses %v are not all on this machine", all)
			}
			slices.Sort(all)
			if n := len(slices.Compact(slices.Clone(all))); n != len(all) {
				t.Errorf("%d addresses for %d listeners: %v", n, len(all), all)
			}
			// Other nodes must find the first virtual server where the Server says.
			for _, s := range o.servers {
				if got := o.named(t, "VirtualServer", s.name+"-smtp").GetVirtualServer().GetBindings(); !slices.Equal(got, []string{s.smtp}) {
					t.Errorf("%s listens on %v, its Server says %s", s.name, got, s.smtp)
				}
			}
		})
	}
}

func TestPlaceRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		objs     []*directoryv1.Object
		basePort int
		want     string
	}{
		"nobody to start":   {nil, 0, "no Server object"},
		"ports above 65535": {demo(t), 65530, "--base-port 65530"},
		"negative ports":    {demo(t), -1, "--base-port -1"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := place(tc.objs, tc.basePort); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestBusyPortIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	busy := l.Addr().String()
	free := "127.0.0.1:0"
	o := &organization{etcd: [2]string{free, free}, servers: []server{{"oslo-1", "oslo", free, busy, free, free}}}
	err = o.checkPorts()
	for _, want := range []string{"gossip of oslo-1", busy, "--base-port"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	o.servers[0].gossip = free
	if err := o.checkPorts(); err != nil {
		t.Errorf("with free ports: %v", err)
	}
}

func TestReadOrganizationNamesEveryProblem(t *testing.T) {
	_, err := readOrganization("org.yaml", []byte("kind: Server\nname: a\nspec: {routingGroup: nowhere}\n"))
	for _, want := range []string{"org.yaml", "Server/a", "nowhere"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	if _, err := readOrganizationFile("missing.yaml"); err == nil || !strings.Contains(err.Error(), "--file") {
		t.Errorf("error %v, want one that names --file", err)
	}
}

// On a later start the directory is the truth, but for addresses that this
// start gave out.
func TestReplace(t *testing.T) {
	changed := func() []*directoryv1.Object {
		objs := demo(t)
		o := &organization{objects: objs}
		o.named(t, "RoutingGroupConnector", "paris-oslo").GetRoutingGroupConnector().Cost = 5
		o.named(t, "VirtualServer", "oslo-1-smtp").GetVirtualServer().Bindings = []string{"127.0.0.1:2505", "127.0.0.1:2525"}
		return append(objs, &directoryv1.Object{
			Metadata: &directoryv1.Metadata{Kind: "Recipient", Name: "nora"},
			Spec:     &directoryv1.Object_Recipient{Recipient: &directoryv1.Recipient{Addresses: []string{"nora@example.test"}}},
		})
	}
	third := loopback(30000 + 2 + 2*portsPerNode) // oslo-1 is the third by name
	for name, tc := range map[string]struct {
		basePort int
		bindings []string
		smtp     string
	}{
		"at their places": {0, []string{"127.0.0.1:2505", "127.0.0.1:2525"}, "127.0.0.1:2505"},
		"moved":           {30000, []string{third}, third},
	} {
		t.Run(name, func(t *testing.T) {
			o := placed(t, demo(t), tc.basePort)
			o.replace(changed())
			if got := o.named(t, "VirtualServer", "oslo-1-smtp").GetVirtualServer().GetBindings(); !slices.Equal(got, tc.bindings) {
				t.Errorf("bindings %v, want %v", got, tc.bindings)
			}
			if got := o.named(t, "Server", "oslo-1").GetServer().GetSmtpAddress(); got != tc.smtp {
				t.Errorf("SMTP address %s, want %s", got, tc.smtp)
			}
			if got := o.named(t, "RoutingGroupConnector", "paris-oslo").GetRoutingGroupConnector().GetCost(); got != 5 {
				t.Errorf("cost %d, want the directory's 5", got)
			}
			o.named(t, "Recipient", "nora")
		})
	}
}

// A server that was applied while the cluster ran gets a process on the next
// start, one that was deleted has none any more.
func TestRecounted(t *testing.T) {
	for _, base := range []int{0, 30000} {
		before := placed(t, demo(t), base)
		if same, err := before.recounted(base); err != nil || same != before {
			t.Fatalf("with the same servers: %v, %v", same, err)
		}
		var objs []*directoryv1.Object
		for _, o := range before.objects {
			if n := o.GetMetadata().GetName(); n == "paris-2" || n == "paris-2-smtp" {
				continue
			}
			objs = append(objs, o)
			if o.GetMetadata().GetName() == "oslo-1" {
				added := proto.CloneOf(o)
				added.GetMetadata().Name = "oslo-2"
				to := added.GetServer()
				to.SmtpAddress, to.GossipAddress, to.AdminAddress = "127.0.0.1:2596", "127.0.0.1:2597", "127.0.0.1:2598"
				objs = append(objs, added)
			}
		}
		before.replace(objs)
		after, err := before.recounted(base)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, s := range after.servers {
			names = append(names, s.name)
		}
		if got := strings.Join(names, " "); got != "berlin-1 berlin-2 oslo-1 oslo-2 paris-1" {
			t.Errorf("base port %d: processes for %s", base, got)
		}
		addresses := after.every()
		slices.Sort(addresses)
		if len(slices.Compact(addresses)) != len(after.every()) {
			t.Errorf("base port %d: an address is given twice: %q", base, after.every())
		}
	}
}
