package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"
)

// message prints an answer for programs; it returns false for tables.
func (c *client) message(w io.Writer, m proto.Message) (bool, error) {
	if c.format != "json" && c.format != "yaml" {
		return false, nil
	}
	b, err := forPrograms().Marshal(m)
	if err != nil {
		return true, err
	}
	return true, c.document(w, b)
}

// forPrograms writes every field, by its name in the schema.
func forPrograms() protojson.MarshalOptions {
	return protojson.MarshalOptions{Multiline: true, Indent: "  ", UseProtoNames: true, EmitUnpopulated: true}
}

// member is a message in a document of several.
type member struct {
	name string
	m    proto.Message
}

// messages prints several answers as one document, null where there is none.
func (c *client) messages(w io.Writer, list []member) error {
	var doc bytes.Buffer
	for i, k := range list {
		b, err := []byte("null"), error(nil)
		if k.m.ProtoReflect().IsValid() {
			b, err = forPrograms().Marshal(k.m)
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(&doc, "%c%q:%s", "{,"[min(i, 1)], k.name, b)
	}
	doc.WriteByte('}')
	var out bytes.Buffer
	if err := json.Indent(&out, doc.Bytes(), "", "  "); err != nil {
		return err
	}
	return c.document(w, out.Bytes())
}

func (c *client) document(w io.Writer, b []byte) error {
	if c.format == "yaml" {
		var plain bytes.Buffer // the reader of YAML refuses characters that JSON may have as they are
		_, err := visible{&plain}.Write(b)
		if err == nil {
			b, err = yaml.JSONToYAML(plain.Bytes())
		}
		if err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w, strings.TrimRight(string(b), "\n"))
	return err
}

// table prints rows under a header; with -o name only the first column.
func (c *client) table(w io.Writer, header string, rows [][]string) error {
	if c.format == "name" {
		for _, r := range rows {
			fmt.Fprintln(w, cell(r[0]))
		}
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, header)
	for _, r := range rows {
		cells := make([]string, len(r))
		for i, s := range r {
			cells[i] = cell(s)
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

// missing names the nodes that did not answer; the exit code says "partial".
func missing(stderr io.Writer, m map[string]string) error {
	if len(m) == 0 {
		return nil
	}
	for _, n := range sortedKeys(m) {
		fmt.Fprintf(stderr, "no answer from %s: %s\n", n, m[n])
	}
	return &failure{fmt.Errorf("%s did not answer", count(len(m), "node")), exitPartial}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// line prints a message for programs that read one after the other: a line of JSON,
// or a document of YAML.
func (c *client) line(w io.Writer, m proto.Message) error {
	if c.format == "yaml" {
		fmt.Fprintln(w, "---")
		_, err := c.message(w, m)
		return err
	}
	b, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(m)
	if err == nil {
		_, err = fmt.Fprintf(w, "%s\n", b)
	}
	return err
}

// load writes messages with their size.
func load(messages, octets int64) string {
	if messages == 0 {
		return "no mail"
	}
	return count64(messages, "message", "messages") + ", " + size(octets)
}

// size writes octets in the unit that leaves one to four digits.
func size(octets int64) string {
	const units = "KMGTPE"
	if octets < 1024 {
		return fmt.Sprintf("%d B", octets)
	}
	f, i := float64(octets)/1024, 0
	for ; f >= 1024 && i < len(units)-1; i++ {
		f /= 1024
	}
	return fmt.Sprintf("%.1f %ciB", f, units[i])
}

func signed(octets int64) string {
	if octets < 0 {
		return "-" + size(-octets)
	}
	return "+" + size(octets)
}

// age writes milliseconds as a person would.
func age(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	switch {
	case d < 0:
		return "-"
	case d < time.Second:
		return d.String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return d.Round(time.Minute).String()
}

// when writes a Unix time in milliseconds as its distance from now.
func when(ms int64, now time.Time) string {
	if ms == 0 {
		return "-"
	}
	d := time.UnixMilli(ms).Sub(now).Round(time.Second)
	if d > 0 {
		return "in " + age(d.Milliseconds())
	}
	return age(-d.Milliseconds()) + " ago"
}

// count writes a number of things.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func word(enum, prefix string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(enum, prefix), "_", " "))
}

func upDown(up bool) string {
	if up {
		return "UP"
	}
	return "DOWN"
}
