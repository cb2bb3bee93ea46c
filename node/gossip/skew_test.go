package gossip

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/node/mail"
	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

// foreigner is a server b of another version, played by the test: what it sends and
// gets is seen on the wire.
func foreigner(t *testing.T, c *cluster, protocol uint32) caller {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+c.addresses[serverD], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	stream, err := linkstatev1.NewGossipServiceClient(conn).Exchange(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	peer := caller{stream}
	hello := (&Runner{conf: Config{Organization: organization, Self: serverB}, protocol: protocol}).hello()
	hello.ProtoReflect().SetUnknown(newField)
	if err := peer.Send(hello); err != nil {
		t.Fatal(err)
	}
	if f, err := peer.Recv(); err != nil || f.GetHello().GetProtocol() != linkstate.Protocol {
		t.Fatalf("greeted with %v, %v", f, err)
	}
	return peer
}

// newField is one that no version has yet.
var newField = protoreflect.RawFields(protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 7))

// Fields that a newer version has put into its record go with it over two hops, onto
// the disk, and back from it.
func TestUnknownFieldsTravel(t *testing.T) {
	c := newCluster(t, nil)
	c.start(serverD, serverE)
	peer := foreigner(t, c, linkstate.Protocol+1)
	record := EncodeRecord(&linkstate.Record{
		Server: linkstate.GUID(serverB), Incarnation: 1 << 40, Sequence: 1, Status: linkstate.Alive, Version: "2050",
		Connectors: []linkstate.ConnectorState{{Connector: linkstate.GUID(north)}},
	})
	record.ProtoReflect().SetUnknown(newField)
	record.Connectors[0].ProtoReflect().SetUnknown(newField)
	frames := &linkstatev1.Frame{Kind: &linkstatev1.Frame_Records{Records: &linkstatev1.Records{Records: []*linkstatev1.Record{record}}}}
	frames.ProtoReflect().SetUnknown(newField)
	if err := peer.Send(frames); err != nil {
		t.Fatal(err)
	}
	kept := func(r *linkstate.Record) error {
		if r == nil || !bytes.Equal(r.Unknown, newField) || len(r.Connectors) != 1 || !bytes.Equal(r.Connectors[0].Unknown, newField) {
			return fmt.Errorf("b's record is %+v", r)
		}
		return nil
	}
	c.eventually(patience, func() error { return kept(c.nodes[serverE].Table().Get(linkstate.GUID(serverB))) })

	// A link of b changes: the rest of the record stays as it was. b sends it as a
	// patch, and so does d to e.
	base, err := DecodeRecord(record)
	if err != nil {
		t.Fatal(err)
	}
	next := *base
	next.Sequence++
	next.Connectors = []linkstate.ConnectorState{base.Connectors[0]}
	next.Connectors[0].Down = true
	p, ok := linkstate.Diff(base, &next)
	if !ok {
		t.Fatal("no patch")
	}
	if err := peer.Send(encodeFrame(&linkstate.Records{Patches: []*linkstate.Patch{p}})); err != nil {
		t.Fatal(err)
	}
	c.eventually(patience, func() error {
		r := c.nodes[serverE].Table().Get(linkstate.GUID(serverB))
		if r.Sequence != 2 || !r.Connectors[0].Down {
			return errors.New("the patch has not arrived")
		}
		return kept(r)
	})
	c.kill(serverE)
	saved, err := loadState(filepath.Join(c.dir, serverE.String()))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range saved.records {
		if r.Server == linkstate.GUID(serverB) {
			if err := kept(r); err != nil {
				t.Errorf("on the disk: %v", err)
			}
			return
		}
	}
	t.Error("b is not on the disk")
}

// A node of the first version knows no patches: it gets whole records, and what it
// sends is understood. One of this version gets patches on the same kind of stream.
func TestVersionSkew(t *testing.T) {
	for protocol, patches := range map[uint32]bool{linkstate.OldestProtocol: false, linkstate.Protocol: true} {
		t.Run(fmt.Sprint("protocol ", protocol), func(t *testing.T) {
			c := newCluster(t, nil)
			c.start(serverD)
			peer := foreigner(t, c, protocol)
			// d is the higher and begins with its digest. Ours is empty, so it sends its
			// record; then it knows what we have, and says of a change what changes.
			if err := peer.Send(encodeFrame(&linkstate.Digest{Hash: linkstate.Hash{1}, Entries: []linkstate.DigestEntry{{Server: linkstate.GUID(serverB), Incarnation: 1, Status: linkstate.Alive}}})); err != nil {
				t.Fatal(err)
			}
			gets := func() (whole, parts int) {
				for whole+parts == 0 {
					f, err := peer.Recv()
					if err != nil {
						t.Fatal(err)
					}
					for _, r := range f.GetRecords().GetRecords() {
						if bytes.Equal(r.GetServer(), serverD[:]) {
							whole++
						}
					}
					for _, r := range f.GetRecords().GetPatches() {
						if bytes.Equal(r.GetServer(), serverD[:]) {
							parts++
						}
					}
				}
				return whole, parts
			}
			if whole, parts := gets(); whole != 1 || parts != 0 {
				t.Fatalf("first %d whole records, %d patches, want 1 and 0", whole, parts)
			}
			c.nodes[serverD].SetDrain(linkstate.DrainSoft)
			if whole, parts := gets(); (parts == 1) != patches || whole+parts != 1 {
				t.Errorf("a change comes as %d whole records, %d patches; want a patch: %v", whole, parts, patches)
			}
			record := &linkstate.Record{Server: linkstate.GUID(serverB), Incarnation: 5, Sequence: 1, Status: linkstate.Alive}
			if err := peer.Send(encodeFrame(&linkstate.Records{Records: []*linkstate.Record{record}})); err != nil {
				t.Fatal(err)
			}
			c.eventually(patience, c.agree(map[mail.GUID]linkstate.Status{serverB: linkstate.Alive}))
			for _, n := range c.nodes[serverD].Neighbours() {
				if n.Server == serverB && n.Protocol != protocol {
					t.Errorf("listed with protocol %d", n.Protocol)
				}
			}
		})
	}
}

// Nodes of two versions in one organisation, all of them real, agree.
func TestClusterOfTwoVersions(t *testing.T) {
	c := newCluster(t, nil)
	c.protocols = map[mail.GUID]uint32{serverA: linkstate.OldestProtocol, serverD: linkstate.OldestProtocol}
	c.start(everyone...)
	c.eventually(patience, c.agree(allAlive))
	for _, d := range []linkstate.Drain{linkstate.DrainSoft, linkstate.DrainHard, linkstate.DrainNone} {
		c.nodes[serverC].SetDrain(d)
		c.eventually(patience, func() error {
			if r := c.nodes[serverE].Table().Get(linkstate.GUID(serverC)); r.Drain != d {
				return errors.New("drain of c not yet known in the third group")
			}
			return nil
		})
	}
	c.eventually(patience, c.agree(allAlive))
}
