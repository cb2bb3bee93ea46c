package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/pickup"
)

// letterOptions are what sendmail's flags say about a message.
type letterOptions struct {
	data, sender, name string
	fromHeader, oneDot bool
	option             string
	notify, ret, envid string
	mode               string
}

// sendmailCommand is the interface that programs of a host expect, as far as it
// submits mail.
func sendmailCommand() *cobra.Command {
	var o letterOptions
	cmd := &cobra.Command{
		Use:   "sendmail [RECIPIENT...]",
		Short: "Submit a message from standard input, as programs expect it of /usr/sbin/sendmail",
		Long: `Submit a message from standard input. It is left in the node's pickup folder, so
it is safe when this command ends, whether the node runs or not; the caller must
be allowed to write there. A line with a single dot ends the message unless -i is
given. Install it as /usr/sbin/sendmail with a script of one line:

  #!/bin/sh
  exec postroad sendmail "$@"`,
		Example: `  postroad sendmail -f ada@example.com bob@example.net < message.eml
  postroad sendmail -t -i < message.eml`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.InOrStdin(), args) },
	}
	f := cmd.Flags()
	f.StringVar(&o.data, "data", "/var/lib/postroad", "the node's data folder")
	f.StringVarP(&o.sender, "sender", "f", "", "envelope sender; \"<>\" for none (default: USER@HOST)")
	f.StringVarP(&o.name, "full-name", "F", "", "name in the From field, if the message has none")
	f.BoolVarP(&o.fromHeader, "recipients-from-header", "t", false, "take recipients from To, Cc and Bcc as well")
	f.BoolVarP(&o.oneDot, "ignore-dots", "i", false, "a line with a single dot does not end the message")
	f.StringVarP(&o.notify, "notify", "N", "", "reports wanted: never, or success, failure, delay with commas")
	f.StringVarP(&o.ret, "return", "R", "", "what reports return: full or hdrs")
	f.StringVarP(&o.envid, "envelope-id", "V", "", "envelope identifier in reports")
	// Options of sendmail that say what is so anyway: -oi, -oem, -bm, -B8BITMIME.
	f.StringVarP(&o.option, "option", "o", "", "-oi is -i; others have no effect")
	f.StringVarP(&o.mode, "mode", "b", "m", "only -bm, submit")
	f.StringP("body", "B", "", "has no effect: the content says what it is")
	return cmd
}

func (o *letterOptions) run(in io.Reader, args []string) error {
	if o.mode != "m" {
		return fmt.Errorf("-b%s: only -bm, submitting one message, is there; speak SMTP to the node for the rest", o.mode)
	}
	e, err := o.envelope(args)
	if err != nil {
		return err
	}
	notify, err := parseNotify(o.notify)
	if err != nil {
		return err
	}
	r := bufio.NewReader(in)
	if o.oneDot || o.option == "i" {
		return o.leave(e, notify, r)
	}
	return o.leave(e, notify, &untilDot{r: r})
}

func (o *letterOptions) envelope(args []string) (*mail.Envelope, error) {
	e := &mail.Envelope{EnvelopeID: o.envid}
	var err error
	switch o.sender {
	case "<>":
	case "":
		if e.From, err = mail.ParseAddress(ownAddress()); err != nil {
			return nil, fmt.Errorf("sender %s: %w: name another with -f", ownAddress(), err)
		}
	default:
		if e.From, err = mail.ParseAddress(strings.Trim(o.sender, "<>")); err != nil {
			return nil, fmt.Errorf("-f %s: %w", o.sender, err)
		}
	}
	switch e.Return = strings.ToUpper(o.ret); e.Return {
	case "", "FULL", "HDRS":
	default:
		return nil, fmt.Errorf("-R %s: must be full or hdrs", o.ret)
	}
	for _, a := range args {
		to, err := mail.ParseAddress(a)
		if err != nil {
			return nil, fmt.Errorf("recipient %s: %w", a, err)
		}
		e.Recipients = append(e.Recipients, mail.Recipient{Address: to})
	}
	if len(args) == 0 && !o.fromHeader {
		return nil, errors.New("no recipients: name them, or give -t to take them from the header")
	}
	return e, nil
}

func parseNotify(s string) (n mail.Notify, err error) {
	if s == "" {
		return 0, nil
	}
	if n, err = mail.ParseNotify(s); err != nil {
		err = fmt.Errorf("-N %s: %w", s, err)
	}
	return n, err
}

// ownAddress is the caller's, at this host.
func ownAddress() string {
	name := "postmaster"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return name + "@" + host
}

// leave puts the message into the pickup folder. The message goes through a
// reader first, so that what is wrong with it is the caller's error.
func (o *letterOptions) leave(e *mail.Envelope, notify mail.Notify, content io.Reader) error {
	dir := filepath.Join(o.data, pickup.Folder)
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("%w: no node has run there; name its data folder with --data", err)
	}
	return pickup.Leave(dir, func(w io.Writer) error {
		return pickup.Compose(w, e, notify, o.name, o.fromHeader, content)
	})
}

// untilDot ends at a line with a single dot.
type untilDot struct {
	r    *bufio.Reader
	rest string
	err  error
}

func (u *untilDot) Read(p []byte) (int, error) {
	for u.rest == "" {
		if u.err != nil {
			return 0, u.err
		}
		if u.rest, u.err = u.r.ReadString('\n'); strings.TrimRight(u.rest, "\r\n") == "." {
			u.rest, u.err = "", io.EOF
		}
	}
	n := copy(p, u.rest)
	u.rest = u.rest[n:]
	return n, nil
}
