package gossip

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/postroad/postroad/linkstate"
	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

// said is a connection on which the other end has said something and hung up.
type said struct {
	net.Conn
	io.Reader
}

func (s said) Read(p []byte) (int, error) { return s.Reader.Read(p) }

func pipeOf(octets []byte) *pipe { return newPipe(said{Reader: bytes.NewReader(octets)}, time.Now) }

// written is a frame as Send writes it.
func written(t testing.TB, f *linkstatev1.Frame) []byte {
	t.Helper()
	here, there := net.Pipe()
	got := make(chan []byte)
	go func() { b, _ := io.ReadAll(there); got <- b }()
	if err := newPipe(here, time.Now).Send(f); err != nil {
		t.Fatal(err)
	}
	here.Close()
	return <-got
}

func TestPipeRoundTrip(t *testing.T) {
	frames := []*linkstatev1.Frame{
		{}, (&Runner{protocol: 1, conf: Config{Self: serverB, Organization: organization}}).hello(),
		encodeFrame(&linkstate.Keepalive{Revision: 7, Queued: 1}),
		encodeFrame(&linkstate.Records{Records: []*linkstate.Record{{Server: linkstate.GUID(serverA), Sequence: 3, Status: linkstate.Alive}}}),
	}
	var octets []byte
	for _, f := range frames {
		octets = append(octets, written(t, f)...)
	}
	p := pipeOf(octets)
	for i, want := range frames {
		if got, err := p.Recv(); err != nil || !proto.Equal(got, want) {
			t.Errorf("frame %d is %v (%v), want %v", i, got, err, want)
		}
	}
	if f, err := p.Recv(); err != io.EOF {
		t.Errorf("after the last frame: %v, %v", f, err)
	}
}

func TestPipeBounds(t *testing.T) {
	head := func(size uint32) []byte { return binary.BigEndian.AppendUint32(nil, size) }
	for name, k := range map[string]struct {
		octets []byte
		want   string
	}{
		"announced above the bound":  {head(maxFrame + 1), "4194305 octets, at most 4194304"},
		"announced as large as can":  {head(1<<32 - 1), "4294967295 octets, at most 4194304"},
		"ends within the length":     {[]byte{0, 0}, "unexpected EOF"},
		"ends within the frame":      {append(head(100), "short"...), "in the middle of a frame"},
		"not protobuf":               {append(head(4), 0xff, 0xff, 0xff, 0xff), "not a frame"},
		"an SMTP command":            {[]byte("QUIT\r\n"), "1364543828 octets"},
		"a message in place of mail": {[]byte("\x00\x00\x00\x0aFrom: x\r\n\r\n"), "not a frame"},
	} {
		t.Run(name, func(t *testing.T) {
			if f, err := pipeOf(k.octets).Recv(); err == nil || !strings.Contains(err.Error(), k.want) {
				t.Errorf("%v, %v; want %q", f, err, k.want)
			}
		})
	}
	big := &linkstatev1.Frame{Kind: &linkstatev1.Frame_Digest{Digest: &linkstatev1.Digest{Hash: make([]byte, maxFrame)}}}
	if err := newPipe(nil, time.Now).Send(big); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a frame above the bound is sent: %v", err)
	}
}

// Whoever announces a lot and sends nothing costs nothing.
func TestAnnouncedIsNotAllocated(t *testing.T) {
	var before, after runtime.MemStats
	octets := binary.BigEndian.AppendUint32(nil, maxFrame)
	runtime.ReadMemStats(&before)
	for range 100 {
		_, _ = pipeOf(octets).Recv()
	}
	runtime.ReadMemStats(&after)
	if spent := after.TotalAlloc - before.TotalAlloc; spent > maxFrame {
		t.Errorf("%d octets were allocated for 100 frames that never came", spent)
	}
}

func TestMinute(t *testing.T) {
	now := time.Unix(0, 0)
	endless := readerFunc(func(p []byte) (int, error) { clear(p); return len(p), nil }) // empty frames
	p := newPipe(said{Reader: endless}, func() time.Time { return now })
	fill := func() (n int, err error) {
		for ; err == nil; n++ {
			_, err = p.Recv()
		}
		return n - 1, err
	}
	if n, err := fill(); n != maxFramesPerMinute || !strings.Contains(err.Error(), "in a minute") {
		t.Errorf("%d frames were taken in a minute (%v)", n, err)
	}
	now = now.Add(time.Minute)
	if n, _ := fill(); n != maxFramesPerMinute {
		t.Errorf("%d frames were taken in the next minute", n)
	}
	now = now.Add(time.Minute)
	large := written(t, &linkstatev1.Frame{Kind: &linkstatev1.Frame_Digest{Digest: &linkstatev1.Digest{Hash: make([]byte, maxFrame-16)}}})
	for range maxOctetsPerMinute/len(large) + 1 {
		p.conn = said{Reader: bytes.NewReader(large)}
		if _, err := p.Recv(); err != nil {
			if p.frames*len(large) < maxOctetsPerMinute {
				t.Error(err)
			}
			return
		}
	}
	t.Error("any number of octets is taken in a minute")
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// FuzzPipe feeds whatever may come after X-LINK2STATE to the reader of frames and to
// what turns them into records.
func FuzzPipe(f *testing.F) {
	f.Add(written(f, (&Runner{protocol: 1, conf: Config{Self: serverB, Organization: organization}}).hello()))
	f.Add(written(f, encodeFrame(&linkstate.Records{Records: []*linkstate.Record{{Server: linkstate.GUID(serverA), Status: linkstate.Down,
		Connectors: []linkstate.ConnectorState{{Connector: linkstate.GUID(north), Down: true, Reason: "no route"}}}}})))
	f.Add(written(f, encodeFrame(&linkstate.Want{Servers: []linkstate.GUID{{1}}})))
	f.Add([]byte("X-LINK2STATE LAST CHUNK=AAAA\r\n"))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, octets []byte) {
		p, read := pipeOf(octets), 0
		for {
			frame, err := p.Recv()
			if err != nil {
				return
			}
			if read += 4; read > len(octets) {
				t.Fatalf("more frames than %d octets can hold", len(octets))
			}
			decoded, err := decodeFrame(frame)
			if err != nil || decoded == nil {
				continue
			}
			// What was understood can be said again, and means the same.
			again, err := decodeFrame(encodeFrame(decoded))
			if err != nil || !proto.Equal(encodeFrame(again), encodeFrame(decoded)) {
				t.Fatalf("%v became %v (%v)", decoded, again, err)
			}
		}
	})
}
