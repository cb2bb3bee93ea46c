package bench

import (
	"bufio"
	"fmt"
	"net"
)

// addresses are n recipients, spread evenly over domains.
func addresses(n, domains int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("user%d@d%d.sink.test", i, i%domains)
	}
	return all
}

// rcptGroup is how many RCPT are sent before their replies are read.
const rcptGroup = 500

// SendOne hands one message for many recipients in; each must be taken.
func SendOne(target string, size int, to []string) error {
	conn, err := net.Dial("tcp", target)
	if err != nil {
		return err
	}
	defer conn.Close()
	r, w := bufio.NewReader(conn), bufio.NewWriterSize(conn, 64<<10)
	step := func(code string, replies int) error {
		w.Flush()
		for range replies {
			if err := expect(r, code); err != nil {
				return err
			}
		}
		return nil
	}
	if err := step("220", 1); err != nil {
		return err
	}
	fmt.Fprint(w, "EHLO client.bench.test\r\n")
	if err := step("250", 1); err != nil {
		return err
	}
	fmt.Fprint(w, "MAIL FROM:<sender@bench.test>\r\n")
	if err := step("250", 1); err != nil {
		return err
	}
	for len(to) > 0 {
		group := to[:min(len(to), rcptGroup)]
		to = to[len(group):]
		for _, a := range group {
			fmt.Fprintf(w, "RCPT TO:<%s>\r\n", a)
		}
		if err := step("250", len(group)); err != nil {
			return err
		}
	}
	fmt.Fprint(w, "DATA\r\n")
	if err := step("354", 1); err != nil {
		return err
	}
	fmt.Fprintf(w, "%s0\r\n%s.\r\n", idHeader, content(size))
	if err := step("250", 1); err != nil {
		return err
	}
	fmt.Fprint(w, "QUIT\r\n")
	return step("221", 1)
}
