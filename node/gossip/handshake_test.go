package gossip

import (
	"crypto/rand"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/linkstate"
	"github.com/postroad/postroad/node/mail"
	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func TestHandshakeRefusals(t *testing.T) {
	c := newCluster(t, nil)
	c.start(serverD)
	conn, err := grpc.NewClient("passthrough:///"+c.addresses[serverD], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	hello := func(organization, server mail.GUID, protocol uint32) *linkstatev1.Frame {
		return &linkstatev1.Frame{Kind: &linkstatev1.Frame_Hello{Hello: &linkstatev1.Hello{
			Organization: organization[:], Server: server[:], Protocol: protocol,
		}}}
	}
	for name, k := range map[string]struct {
		frame *linkstatev1.Frame
		want  string
	}{
		"another organisation": {hello(mail.GUID{1}, serverB, 1), "greeting of organization"},
		"no neighbour":         {hello(organization, serverC, 1), "not neighbours"},
		"unknown server":       {hello(organization, mail.GUID{77}, 1), "not neighbours"},
		"old protocol":         {hello(organization, serverB, 0), "protocol 0"},
		"no hello":             {encodeFrame(&linkstate.Keepalive{}), "not a Hello"},
		"no frame":             {nil, "not a Hello"},
	} {
		t.Run(name, func(t *testing.T) {
			stream, err := linkstatev1.NewGossipServiceClient(conn).Exchange(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := (caller{stream}).Send(k.frame); err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Recv(); err == nil || !strings.Contains(err.Error(), k.want) {
				t.Errorf("answer %v, want %q", err, k.want)
			}
		})
	}
}

// A frame that makes no sense ends that stream and nothing else.
func TestBadFrameEndsStream(t *testing.T) {
	c := newCluster(t, nil)
	c.start(serverD)
	conn, err := grpc.NewClient("passthrough:///"+c.addresses[serverD], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := linkstatev1.NewGossipServiceClient(conn).Exchange(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	peer := caller{stream}
	if err := peer.Send((&Runner{conf: Config{Organization: organization, Self: serverB}, protocol: linkstate.Protocol}).hello()); err != nil {
		t.Fatal(err)
	}
	if _, err := peer.Recv(); err != nil { // its Hello
		t.Fatal(err)
	}
	bad := &linkstatev1.Frame{Kind: &linkstatev1.Frame_Want{Want: &linkstatev1.Want{Servers: [][]byte{{1}}}}}
	if err := peer.Send(bad); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = peer.Recv()
	}
	if !strings.Contains(err.Error(), "must have 16") {
		t.Errorf("the stream ended with %v", err)
	}
	c.start(serverE)
	c.eventually(patience, c.agree(map[mail.GUID]linkstate.Status{serverD: linkstate.Alive, serverE: linkstate.Alive}))
}

func TestGarbageOnTheListener(t *testing.T) {
	c := newCluster(t, newPKI(t).secure)
	c.start(serverD)
	for range 5 {
		conn, err := net.Dial("tcp", c.addresses[serverD])
		if err != nil {
			t.Fatal(err)
		}
		garbage := make([]byte, 64<<10)
		if _, err := rand.Read(garbage); err != nil {
			t.Fatal(err)
		}
		_, werr := conn.Write(garbage)
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if n, rerr := io.Copy(io.Discard, conn); n > 1<<10 {
			t.Errorf("%d bytes of answer to garbage (%v, %v)", n, werr, rerr)
		}
		conn.Close()
	}
	c.start(serverE)
	c.eventually(patience, c.agree(map[mail.GUID]linkstate.Status{serverD: linkstate.Alive, serverE: linkstate.Alive}))
}
