package bench

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
)

// Dialogues are sessions without content.
type Dialogues struct {
	Target   string // "host:port"
	Sessions int
	AtATime  int
	Groups   int // of MAIL, RCPT and RSET in each session
}

const recipients = 20

// perGroup is the number of commands in a group.
const perGroup = recipients + 2

// Run holds all sessions; each reply must be positive.
func (d Dialogues) Run() error {
	group := "MAIL FROM:<sender@bench.test>\r\n" + strings.Repeat("RCPT TO:<someone@sink.test>\r\n", recipients) + "RSET\r\n"
	var next atomic.Int64
	var mu sync.Mutex
	var first error
	var wg sync.WaitGroup
	for range d.AtATime {
		wg.Go(func() {
			for next.Add(1) <= int64(d.Sessions) {
				if err := d.session(group); err != nil {
					mu.Lock()
					if first == nil {
						first = err
					}
					mu.Unlock()
					return
				}
			}
		})
	}
	wg.Wait()
	return first
}

func (d Dialogues) session(group string) error {
	conn, err := net.Dial("tcp", d.Target)
	if err != nil {
		return err
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	if err := expect(r, "220"); err != nil {
		return err
	}
	say := func(text string, replies int, code string) error {
		if _, err := fmt.Fprint(conn, text); err != nil {
			return err
		}
		for range replies {
			if err := expect(r, code); err != nil {
				return err
			}
		}
		return nil
	}
	if err := say("EHLO client.bench.test\r\n", 1, "250"); err != nil {
		return err
	}
	for range d.Groups {
		if err := say(group, perGroup, "250"); err != nil {
			return err
		}
	}
	return say("QUIT\r\n", 1, "221")
}
