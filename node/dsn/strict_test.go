package dsn

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime/quotedprintable"
	netmail "net/mail"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/postroad/postroad/node/mail"
	"github.com/postroad/postroad/node/recode"
)

// section is a header and a body, taken apart by the letter of RFC 5322 and RFC 2045.
type section struct {
	fields map[string][]string // by lower-case name, unfolded
	body   string
}

var fieldLine = regexp.MustCompile(`^([!-9;-~]+):[ \t]?(.*)$`)

func parseSection(s string, utf8 bool) (section, error) {
	head, body, ok := strings.Cut(s, "\r\n\r\n")
	if !ok {
		return section{}, fmt.Errorf("no blank line after the header in %.80q", s)
	}
	fields, err := parseFields(head, utf8)
	return section{fields, body}, err
}

func parseFields(head string, utf8 bool) (map[string][]string, error) {
	all, last := map[string][]string{}, ""
	for line := range strings.SplitSeq(head, "\r\n") {
		if !utf8 && !isASCII(line) {
			return nil, fmt.Errorf("the field is not ASCII: %q", line)
		}
		if strings.HasPrefix(line, "\t") || strings.HasPrefix(line, " ") {
			if last == "" || strings.TrimSpace(line) == "" {
				return nil, fmt.Errorf("a continuation of nothing: %q", line)
			}
			list := all[last]
			list[len(list)-1] += " " + strings.TrimSpace(line)
			continue
		}
		m := fieldLine.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("no field: %q", line)
		}
		last = strings.ToLower(m[1])
		all[last] = append(all[last], strings.TrimSpace(m[2]))
	}
	return all, nil
}

func (s section) one(name string) string {
	if len(s.fields[name]) != 1 {
		return ""
	}
	return s.fields[name][0]
}

// strict reads a report and finds whatever RFC 3464, 6522 and 6533 forbid.
func strict(content []byte) error {
	for line := range bytes.SplitSeq(content, []byte("\r\n")) {
		if len(line) > 998 || bytes.ContainsAny(line, "\r\n\x00") {
			return fmt.Errorf("line %.100q", line)
		}
	}
	global := bytes.Contains(content, []byte("report-type=global-delivery-status"))
	top, err := parseSection(string(content), global)
	if err != nil {
		return err
	}
	for _, name := range []string{"from", "to", "subject", "date", "message-id", "auto-submitted", "mime-version", "content-type", "content-transfer-encoding"} {
		if top.one(name) == "" {
			return fmt.Errorf("%s is not there once: %q", name, top.fields[name])
		}
	}
	if _, err := netmail.ParseDate(top.one("date")); err != nil {
		return err
	}
	m := regexp.MustCompile(`^multipart/report; report-type=(global-)?delivery-status; boundary="([^"]{1,70})"$`).FindStringSubmatch(top.one("content-type"))
	if m == nil {
		return fmt.Errorf("Content-Type: %s", top.one("content-type"))
	}
	parts := strings.Split("\r\n"+top.body, "\r\n--"+m[2])
	if len(parts) < 4 || len(parts) > 5 || parts[len(parts)-1] != "--\r\n" {
		return fmt.Errorf("%d pieces between boundaries, the last is %q", len(parts), parts[len(parts)-1])
	}
	want := [][]string{{"text/plain; charset=utf-8"}, {"message/delivery-status"}, {"message/rfc822", "text/rfc822-headers"}}
	if m[1] != "" {
		want = [][]string{want[0], {"message/global-delivery-status"}, {"message/global", "message/global-headers"}}
	}
	eight := false
	for i, p := range parts[1 : len(parts)-1] {
		s, err := parseSection(strings.TrimPrefix(p, "\r\n"), false)
		if err != nil {
			return err
		}
		if !slices.Contains(want[i], s.one("content-type")) {
			return fmt.Errorf("part %d is %s", i+1, s.one("content-type"))
		}
		body, err := decoded(s)
		if err != nil {
			return fmt.Errorf("part %d: %w", i+1, err)
		}
		eight = eight || !isASCII(s.body)
		switch i {
		case 1:
			if err := strictStatus(body, m[1] != ""); err != nil {
				return err
			}
		case 2:
			if strings.HasSuffix(s.one("content-type"), "headers") && strings.Contains(strings.TrimSuffix(body, "\r\n"), "\r\n\r\n") {
				return fmt.Errorf("the header has a body: %q", body)
			}
		}
	}
	if eight != (top.one("content-transfer-encoding") == "8bit") {
		return fmt.Errorf("it is labelled %s", top.one("content-transfer-encoding"))
	}
	return nil
}

func decoded(s section) (string, error) {
	switch cte := s.one("content-transfer-encoding"); cte {
	case "7bit", "8bit":
		if cte == "7bit" && !isASCII(s.body) {
			return "", fmt.Errorf("octets above 127 in 7bit")
		}
		return s.body, nil
	case "quoted-printable":
		if t := s.one("content-type"); t == "message/rfc822" || t == "message/delivery-status" {
			return "", fmt.Errorf("RFC 2046 section 5.2.1 forbids to encode %s", t)
		}
		b, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(s.body)))
		return string(b), err
	case "base64":
		if t := s.one("content-type"); t == "message/rfc822" || t == "message/delivery-status" {
			return "", fmt.Errorf("RFC 2046 section 5.2.1 forbids to encode %s", t)
		}
		b, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(s.body, "\r\n", ""))
		return string(b), err
	default:
		return "", fmt.Errorf("encoding %q", cte)
	}
}

// typed are the fields whose value has a type, and the types that are known.
var typed = map[string]string{
	"reporting-mta": "dns", "received-from-mta": "dns", "remote-mta": "dns", "dsn-gateway": "dns",
	"diagnostic-code": "smtp|x-postroad", "final-recipient": "", "original-recipient": "", "x-actual-recipient": "", "future-release-request": "until|for",
}

var (
	perMessage   = []string{"original-envelope-id", "reporting-mta", "received-from-mta", "arrival-date", "deliver-by-date", "future-release-request"}
	perRecipient = []string{"original-recipient", "final-recipient", "action", "status", "remote-mta", "diagnostic-code", "last-attempt-date", "final-log-id", "will-retry-until", "x-actual-recipient"}
	actions      = map[string]string{"failed": "45", "delayed": "4", "delivered": "2", "relayed": "2", "expanded": "2"}
	statusForm   = regexp.MustCompile(`^[245]\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$`)
	xtext6533    = regexp.MustCompile(`^([!-*,-<>-\[\]-~]|\\x\{[0-9A-F]{2,6}\})+$`)
	unitext6533  = regexp.MustCompile(`^([!-*,-<>-\[\]-~]|[^\x00-\x7f]|\\x\{[0-9A-F]{2,6}\})+$`)
)

func strictStatus(body string, global bool) error {
	blocks := strings.Split(strings.TrimSuffix(body, "\r\n"), "\r\n\r\n")
	if len(blocks) < 2 {
		return fmt.Errorf("no recipient in %q", body)
	}
	for i, b := range blocks {
		fields, err := parseFields(strings.TrimSuffix(b, "\r\n"), global)
		if err != nil {
			return err
		}
		allowed, needed := perRecipient, []string{"final-recipient", "action", "status"}
		if i == 0 {
			allowed, needed = perMessage, []string{"reporting-mta"}
		}
		for name, values := range fields {
			if len(values) != 1 || !slices.Contains(allowed, name) || values[0] == "" {
				return fmt.Errorf("block %d: %s: %q", i, name, values)
			}
			if err := strictField(name, values[0], global); err != nil {
				return err
			}
		}
		for _, name := range needed {
			if fields[name] == nil {
				return fmt.Errorf("block %d has no %s", i, name)
			}
		}
		if i == 0 {
			continue
		}
		action, status := fields["action"][0], fields["status"][0]
		if classes, ok := actions[action]; !ok || !statusForm.MatchString(status) || !strings.Contains(classes, status[:1]) {
			return fmt.Errorf("Action: %s, Status: %s", action, status)
		}
		if fields["will-retry-until"] != nil && action != "delayed" {
			return fmt.Errorf("Will-Retry-Until of what is %s", action)
		}
	}
	return nil
}

func strictField(name, value string, global bool) error {
	if strings.HasSuffix(name, "-date") || name == "will-retry-until" {
		_, err := netmail.ParseDate(value)
		return err
	}
	types, ok := typed[name]
	if !ok {
		return nil
	}
	typ, rest, found := strings.Cut(value, ";")
	rest = strings.TrimSpace(rest)
	if !found || rest == "" || types != "" && !slices.Contains(strings.Split(types, "|"), typ) {
		return fmt.Errorf("%s: %s", name, value)
	}
	form := xtext6533
	if global {
		form = unitext6533
	}
	_, err := mail.ParseAddress(rest) // utf-8-address, in UTF-8 only
	if typ == "utf-8" && !form.MatchString(rest) && (!global || err != nil) {
		return fmt.Errorf("%s: %s is no address of RFC 6533", name, value)
	}
	if typ == "rfc822" && !isASCII(rest) {
		return fmt.Errorf("%s: %s is not ASCII", name, value)
	}
	return nil
}

// Each report keeps to the letter, as it is and as a host without 8BITMIME gets it.
func TestStrict(t *testing.T) {
	all := cases()
	for code, in := range codeCases() {
		all[code] = in
	}
	for name, in := range all {
		content, env, ok := Report(in)
		if !ok {
			t.Errorf("%s: no report", name)
			continue
		}
		if err := strict(content); err != nil {
			t.Errorf("%s: %v\n%s", name, err, content)
		}
		if env.Return != "" || env.EnvelopeID != "" || !env.Null() || env.Recipients[0].Notify != mail.NotifyNever {
			t.Errorf("%s: envelope %+v", name, env)
		}
		open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
		plan, err := recode.Survey(open, recode.SevenBit)
		if err != nil {
			t.Errorf("%s: cannot be sent in 7 bits: %v", name, err)
			continue
		}
		rd := plan.Reader(bytes.NewReader(content))
		seven, err := io.ReadAll(rd)
		if err != nil {
			t.Fatal(err)
		}
		if err := strict(seven); err != nil || !isASCII(seven) {
			t.Errorf("%s: in 7 bits: %v\n%s", name, err, seven)
		}
	}
}

// The strict parser is no rubber stamp.
func TestStrictFinds(t *testing.T) {
	good, _, _ := Report(cases()["two-headers-only"])
	for from, to := range map[string]string{
		"Action: failed":              "Action: delivered",
		"Status: 5.1.1":               "Status: 5.01.1",
		"Reporting-MTA: dns; ":        "Reporting-MTA: ",
		"MIME-Version: 1.0\r\n":       "",
		"message/delivery-status":     "message/global-delivery-status",
		"Final-Recipient: rfc822; c":  "X-Recipient: rfc822; c",
		"rfc822; carol":               "rfc822; cärol",
		"Last-Attempt-Date: Wed, 04 ": "Last-Attempt-Date: Wed, 94 ",
		"Status: 4.4.7\r\n":           "Status: 4.4.7\r\nStatus: 4.4.7\r\n",
	} {
		bad := bytes.ReplaceAll(good, []byte(from), []byte(to))
		if bytes.Equal(bad, good) || strict(bad) == nil {
			t.Errorf("%q in place of %q is not found", to, from)
		}
	}
	if err := strict(good); err != nil {
		t.Error(err)
	}
}

// codeCases is a report for each code of the book's table, as its sender gets it.
func codeCases() map[string]Input {
	trace := "Received: from paris-1.example (paris-1.example [192.0.2.7])\r\n\tby berlin-1.example (Postroad) with ESMTPS id 2;\r\n\tWed, 4 Mar 2026 05:06:19 +0000\r\n" +
		"Received: from client.paris.example by paris-1.example; Wed, 4 Mar 2026 05:06:07 +0000\r\n"
	all := map[string]Input{}
	for _, c := range bookCodes() {
		kind, s := Failure, c.Status
		o := mail.Fail(s, "what exactly happened")
		switch s.String() {
		case "5.0.0", "5.1.4", "5.2.1", "5.2.2", "5.3.3", "5.5.0", "5.5.2":
			o = mail.FromReply(mail.Reply{Code: 550, Status: s, Lines: []string{"no, and this is why"}}, "mx.far.example [192.0.2.1]:25")
		case "4.4.1", "4.4.2":
			kind = Delay
			o = mail.Defer(s, "the connection was refused")
			o.Remote = "mx.far.example [192.0.2.1]:25"
		case "4.3.1", "4.3.2", "4.4.6", "4.4.7":
			o.Text = "not delivered within 48h; last: " + o.Text
		}
		in := input(kind, to(bob, o))
		in.Original = []byte(trace + "Date: Wed, 4 Mar 2026 06:06:01 +0100\r\nSubject: =?utf-8?Q?D=C3=A9jeuner?=\r\n\r\nAt noon?\r\n")
		in.Until = accepted.Add(48 * 3600e9)
		all["code-"+s.String()] = in
	}
	return all
}

func TestWordsOfEachCode(t *testing.T) {
	for name, in := range codeCases() {
		content, _, ok := Report(in)
		if !ok {
			t.Fatalf("%s: no report", name)
		}
		_, _, parts := readBack(t, content)
		compare(t, filepath.Join("testdata", name+".txt"), []byte(parts[0].body))
	}
}
