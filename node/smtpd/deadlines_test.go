package smtpd_test

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// deadlines notes reads that are let run beyond the deadline for writing.
type deadlines struct {
	net.Conn
	read, write time.Time // of the server's goroutine alone
	late        atomic.Int32
}

func (d *deadlines) SetDeadline(t time.Time) error {
	d.read, d.write = t, t
	return d.Conn.SetDeadline(t)
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.read = t
	return d.Conn.SetReadDeadline(t)
}

func (d *deadlines) SetWriteDeadline(t time.Time) error {
	d.write = t
	return d.Conn.SetWriteDeadline(t)
}

func (d *deadlines) Read(p []byte) (int, error) {
	if d.write.Before(d.read) {
		d.late.Add(1)
	}
	return d.Conn.Read(p)
}

// TLS may have to write while it reads (RFC 8446 section 4.6.3, a change of keys). If the
// deadline for writing were over by then, no reply could be written any more, not even that to a
// message which is stored.
func TestReadsMayWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := server()
		ours, theirs := net.Pipe()
		c := &deadlines{Conn: theirs}
		go s.ServeConn(c)
		go io.Copy(io.Discard, ours)
		for _, part := range []string{"EHLO client.example\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n", "one\r\n", "two\r\n", "three\r\n", ".\r\n"} {
			time.Sleep(2 * time.Minute)
			if _, err := io.WriteString(ours, part); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		ours.Close()
		s.Close()
		if n := c.late.Load(); n != 0 {
			t.Errorf("%d reads go on after the deadline for writing", n)
		}
	})
}
