package admin

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
	"github.com/postroad/postroad/store/directory"
)

func server(name string) *directoryv1.Object {
	return &directoryv1.Object{
		Metadata: &directoryv1.Metadata{Kind: "Server", Name: name, Revision: 5},
		Spec:     &directoryv1.Object_Server{Server: &directoryv1.Server{RoutingGroup: "paris"}},
	}
}

func account() *directoryv1.Object {
	return &directoryv1.Object{
		Metadata: &directoryv1.Metadata{Kind: "Account", Name: "alice"},
		Spec: &directoryv1.Object_Account{Account: &directoryv1.Account{
			Password: "secret", Keys: &directoryv1.ScramKeys{StoredKey: []byte("secret")}, SendAs: []string{"alice@example.test"},
		}},
	}
}

func TestGet(t *testing.T) {
	w := newWorld(t)
	r := w.start(&fakeNode{name: "paris"})
	r.directory.objs = []*directoryv1.Object{server("oslo-1"), server("paris-1"), account()}
	c := directoryv1.NewDirectoryServiceClient(w.local(r))
	for _, tc := range []struct {
		kind, name string
		want       int
		code       codes.Code
	}{
		{"", "", 3, codes.OK},
		{"Server", "", 2, codes.OK},
		{"Server", "oslo-1", 1, codes.OK},
		{"Server", "nowhere", 0, codes.NotFound},
		{"Account", "", 1, codes.OK},
		{"RoutingGroup", "", 0, codes.OK},
		{"Teapot", "", 0, codes.InvalidArgument},
	} {
		t.Run(tc.kind+"/"+tc.name, func(t *testing.T) {
			resp, err := c.Get(t.Context(), &directoryv1.GetRequest{Kind: tc.kind, Name: tc.name})
			requireCode(t, err, tc.code)
			if len(resp.GetObjects()) != tc.want || resp.GetFromCatalog() {
				t.Errorf("got %v, want %d objects from etcd", resp, tc.want)
			}
		})
	}
}

// While etcd is away the node's catalog answers, and says so.
func TestGetFromCatalog(t *testing.T) {
	w := newWorld(t)
	r := w.start(&fakeNode{name: "paris"})
	r.directory.err = fmt.Errorf("%w: no etcd endpoint answers", directory.ErrUnavailable)
	r.catalog.objs = []*directoryv1.Object{server("oslo-1"), account()}
	c := directoryv1.NewDirectoryServiceClient(w.local(r))
	resp, err := c.Get(t.Context(), &directoryv1.GetRequest{})
	if err != nil || len(resp.GetObjects()) != 2 || !resp.GetFromCatalog() || resp.GetCatalogAgeMs() != 90_000 || resp.GetRevision() != 6 {
		t.Errorf("got %v, %v; want the catalog's two objects with its revision and age", resp, err)
	}
	if strings.Contains(fmt.Sprint(resp), "secret") {
		t.Errorf("the catalog shows secrets: %v", resp)
	}
	_, err = c.Get(t.Context(), &directoryv1.GetRequest{Kind: "Server", Name: "nowhere"})
	requireCode(t, err, codes.NotFound)
	_, err = c.Apply(t.Context(), &directoryv1.ApplyRequest{})
	requireCode(t, err, codes.Unavailable)

	// That the disk cannot be read does not mean that there is nothing.
	r.catalog.err = errors.New("disk on fire")
	_, err = c.Get(t.Context(), &directoryv1.GetRequest{Kind: "Server", Name: "oslo-1"})
	requireCode(t, err, codes.Unknown)
}

func TestSecretsAreNotShown(t *testing.T) {
	w := newWorld(t)
	r := w.start(&fakeNode{name: "paris"})
	r.directory.objs = []*directoryv1.Object{account()}
	r.directory.changes = []directory.Change{{Action: directoryv1.Action_ACTION_CHANGED, Before: account(), After: account()}}
	r.directory.warnings = []directory.Problem{{Kind: "Account", Name: "alice", Field: "sendAs", Rule: "names nobody"}}
	c := directoryv1.NewDirectoryServiceClient(w.local(r))

	get, err := c.Get(t.Context(), &directoryv1.GetRequest{Kind: "Account", Name: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	apply, err := c.Apply(t.Context(), &directoryv1.ApplyRequest{Objects: []*directoryv1.Object{account()}})
	if err != nil {
		t.Fatal(err)
	}
	remove, err := c.Delete(t.Context(), &directoryv1.DeleteRequest{Kind: "Account", Name: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	for what, said := range map[string]string{"get": fmt.Sprint(get), "apply": fmt.Sprint(apply), "delete": fmt.Sprint(remove)} {
		if strings.Contains(said, "secret") {
			t.Errorf("%s shows a secret: %s", what, said)
		}
		if !strings.Contains(said, "alice@example.test") {
			t.Errorf("%s hides more than the secrets: %s", what, said)
		}
	}
	if w := apply.GetWarnings(); len(w) != 1 || w[0] != "Account/alice: sendAs: names nobody" {
		t.Errorf("warnings %q", w)
	}
	if apply.GetRevision() != 7 || apply.GetChanges()[0].GetAction() != directoryv1.Action_ACTION_CHANGED {
		t.Errorf("apply said %v", apply)
	}
}

func TestErrorCodes(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want codes.Code
	}{
		{directory.ErrInvalid, codes.InvalidArgument},
		{directory.ErrNotFound, codes.NotFound},
		{directory.ErrConflict, codes.Aborted},
		{directory.ErrUnavailable, codes.Unavailable},
		{errors.New("disk on fire"), codes.Unknown},
	} {
		err := grpcError(fmt.Errorf("Server/oslo-1: %w", tc.err))
		requireCode(t, err, tc.want)
		if m := status.Convert(err).Message(); !strings.HasPrefix(m, "Server/oslo-1: ") {
			t.Errorf("the message became %q", m)
		}
	}
}
