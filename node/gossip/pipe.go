package gossip

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"google.golang.org/protobuf/proto"

	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

// pipe carries frames over a connection that X-LINK2STATE has handed over: four
// octets of length, big endian, then the frame as protobuf. Everything that
// the other end can make this one keep or do is bounded here.
type pipe struct {
	conn net.Conn
	now  func() time.Time

	began  time.Time // of the minute that is counted
	frames int
	octets int
}

// Bounds of a pipe.
const (
	// maxFrame is gRPC's own default: what one carrier takes, the other takes too. The
	// largest frame is the digest of a whole table, some 60 octets for each server.
	maxFrame = 4 << 20
	// A minute is a first synchronisation of tens of thousands of servers, or a
	// storm of hundreds of changes a second.
	maxFramesPerMinute = 30_000
	maxOctetsPerMinute = 64 << 20
)

func newPipe(conn net.Conn, now func() time.Time) *pipe { return &pipe{conn: conn, now: now} }

// Send writes one frame.
func (p *pipe) Send(f *linkstatev1.Frame) error {
	b, err := proto.MarshalOptions{}.MarshalAppend(make([]byte, 4, 512), f)
	if err != nil {
		return err
	}
	if len(b)-4 > maxFrame {
		return fmt.Errorf("a frame of %d octets, at most %d are allowed", len(b)-4, maxFrame)
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	_, err = p.conn.Write(b)
	return err
}

// Recv reads one frame. After an error the stream cannot be used.
func (p *pipe) Recv() (*linkstatev1.Frame, error) {
	var head [4]byte
	if _, err := io.ReadFull(p.conn, head[:]); err != nil {
		return nil, err
	}
	// As an int it is never negative, on any machine.
	size := int(min(binary.BigEndian.Uint32(head[:]), maxFrame+1))
	if size > maxFrame {
		return nil, fmt.Errorf("a frame is announced with %d octets, at most %d are allowed", binary.BigEndian.Uint32(head[:]), maxFrame)
	}
	if err := p.count(len(head) + size); err != nil {
		return nil, err
	}
	// Memory follows what has come, not what was announced.
	var body bytes.Buffer
	if _, err := io.CopyN(&body, p.conn, int64(size)); err != nil {
		return nil, fmt.Errorf("in the middle of a frame: %w", err)
	}
	f := new(linkstatev1.Frame)
	if err := proto.Unmarshal(body.Bytes(), f); err != nil {
		return nil, fmt.Errorf("not a frame: %w", err)
	}
	return f, nil
}

// count holds the other end to its minute.
func (p *pipe) count(octets int) error {
	if now := p.now(); now.Sub(p.began) >= time.Minute {
		p.began, p.frames, p.octets = now, 0, 0
	}
	p.frames++
	p.octets += octets
	if p.frames > maxFramesPerMinute || p.octets > maxOctetsPerMinute {
		return fmt.Errorf("more than %d frames or %d octets in a minute", maxFramesPerMinute, maxOctetsPerMinute)
	}
	return nil
}
