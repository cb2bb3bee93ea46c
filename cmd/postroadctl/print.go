package main

import (
	"fmt"
	"io"
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
	b, err := protojson.MarshalOptions{Multiline: true, Indent: "  ", UseProtoNames: true, EmitUnpopulated: true}.Marshal(m)
	if err != nil {
		return true, err
	}
	if c.format == "yaml" {
		if b, err = yaml.JSONToYAML(b); err != nil {
			return true, err
		}
	}
	_, err = fmt.Fprintln(w, strings.TrimRight(string(b), "\n"))
	return true, err
}

// table prints rows under a header; with -o name only the first column.
func (c *client) table(w io.Writer, header string, rows [][]string) error {
	if c.format == "name" {
		for _, r := range rows {
			fmt.Fprintln(w, r[0])
		}
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, header)
	for _, r := range rows {
		fmt.Fprintln(t, strings.Join(r, "\t"))
	}
	return t.Flush()
}

// missing names the nodes that did not answer; the exit code says "partial".
func missing(stderr io.Writer, m map[string]string) error {
	if len(m) == 0 {
		return nil
	}
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		fmt.Fprintf(stderr, "no answer from %s: %s\n", n, m[n])
	}
	return &failure{fmt.Errorf("%s did not answer", count(len(m), "node")), exitPartial}
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
