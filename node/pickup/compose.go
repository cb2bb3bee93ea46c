package pickup

import (
	"bufio"
	"fmt"
	"io"
	"mime"
	"strings"

	"github.com/postroad/postroad/node/mail"
)

// Compose writes what a program of the host submits, as Read reads it. A missing
// From field is added, with name if there is one; Bcc is taken out. Recipients are
// those of e and, with fromHeader, those of To, Cc and Bcc too; all get the
// reports that notify says. Text without a header gets an empty one.
func Compose(w io.Writer, e *mail.Envelope, notify mail.Notify, name string, fromHeader bool, content io.Reader) error {
	in := bufio.NewReaderSize(&lineEnds{r: content}, 32<<10)
	fields, end, err := readHeader(in)
	if err != nil {
		return err
	}
	if end != "\r\n" {
		end = "\r\n" + end
	}
	listed, fields, err := headerRecipients(fields)
	if err != nil && fromHeader {
		return err
	}
	to := e.Recipients
	if fromHeader {
		addresses := make([]mail.Address, 0, len(to)+len(listed))
		for _, r := range to {
			addresses = append(addresses, r.Address)
		}
		to = recipients(to, append(addresses, listed...))
	}
	if len(to) == 0 {
		return errNobody
	}
	for i := range to {
		to[i].Notify = notify
	}
	if !has(fields, "from") {
		fields = append(fields, from(name, e.From))
	}
	return Write(w, e, to, io.MultiReader(strings.NewReader(strings.Join(fields, "")+end), in))
}

func has(fields []string, wanted string) bool {
	for _, f := range fields {
		if name, _ := split(f); name == wanted {
			return true
		}
	}
	return false
}

func from(name string, a mail.Address) string {
	if a.IsZero() {
		a = mail.Address{Local: "MAILER-DAEMON", Domain: "localhost"}
	}
	if name == "" {
		return fmt.Sprintf("From: %s\r\n", a)
	}
	return fmt.Sprintf("From: %s <%s>\r\n", mime.QEncoding.Encode("utf-8", strings.NewReplacer("\r", " ", "\n", " ").Replace(name)), a)
}
