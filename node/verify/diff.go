package verify

import (
	"slices"
	"strconv"
	"strings"
	"time"

	linkstatev1 "github.com/postroad/postroad/proto/postroad/linkstate/v1"
)

// Diff lists where the tables of two nodes differ, by server and connector. What
// depends on the reader, such as the age of a record, is not compared.
func Diff(a, b *linkstatev1.ListResponse) []*linkstatev1.Difference {
	ofA, ofB := statements(a), statements(b)
	var out []*linkstatev1.Difference
	for _, k := range keys(ofA, ofB) {
		if ofA[k] != ofB[k] {
			out = append(out, &linkstatev1.Difference{
				Server: k.server, Connector: k.connector, Field: fieldNames[k.field], ValueA: ofA[k], ValueB: ofB[k],
			})
		}
	}
	return out
}

// field orders the statements on one server or connector.
type field int

const (
	status field = iota
	incarnation
	sequence
	accuser
	drain
	version
	since
	state
	reason
	suppressedUntil
)

var fieldNames = [...]string{
	status: "status", incarnation: "incarnation", sequence: "sequence", accuser: "accuser", drain: "drain", version: "version",
	since: "since", state: "state", reason: "reason", suppressedUntil: "suppressed until",
}

type statement struct {
	server, connector string
	field             field
}

func (s statement) compare(o statement) int {
	if c := strings.Compare(s.server, o.server); c != 0 {
		return c
	}
	if c := strings.Compare(s.connector, o.connector); c != 0 {
		return c
	}
	return int(s.field) - int(o.field)
}

func keys(a, b map[statement]string) []statement {
	all := make([]statement, 0, len(a)+len(b))
	for k := range a {
		all = append(all, k)
	}
	for k := range b {
		all = append(all, k)
	}
	slices.SortFunc(all, statement.compare)
	return slices.Compact(all)
}

// statements takes a table apart; what has no value is no statement.
func statements(l *linkstatev1.ListResponse) map[statement]string {
	out := make(map[statement]string)
	for _, e := range l.GetEntries() {
		put := func(connector string, f field, value string) {
			if value != "" {
				out[statement{e.GetServer(), connector, f}] = value
			}
		}
		r := e.GetRecord()
		put("", status, word(r.GetStatus().String(), "STATUS_"))
		put("", incarnation, strconv.FormatUint(r.GetIncarnation(), 10))
		put("", sequence, strconv.FormatUint(r.GetSequence(), 10))
		put("", accuser, Accuser(l, r))
		if d := r.GetDrain(); d == linkstatev1.Drain_DRAIN_UNSPECIFIED {
			put("", drain, "none")
		} else {
			put("", drain, word(d.String(), "DRAIN_"))
		}
		put("", version, r.GetVersion())
		put("", since, moment(r.GetSinceUnixMs()))
		for _, c := range e.GetConnectors() {
			put(c.GetConnector(), state, map[bool]string{true: "up", false: "down"}[c.GetUp()])
			put(c.GetConnector(), since, moment(c.GetSinceUnixMs()))
			put(c.GetConnector(), reason, c.GetReason())
			put(c.GetConnector(), suppressedUntil, moment(c.GetSuppressedUntilUnixMs()))
		}
	}
	return out
}

// Accuser is the name of the server that asserted a record's suspect or down;
// empty if nobody did or it has left the table.
func Accuser(l *linkstatev1.ListResponse, r *linkstatev1.Record) string {
	for _, e := range l.GetEntries() {
		if len(r.GetAccuser()) > 0 && string(e.GetRecord().GetServer()) == string(r.GetAccuser()) {
			return e.GetServer()
		}
	}
	return ""
}

func word(enum, prefix string) string { return strings.ToLower(strings.TrimPrefix(enum, prefix)) }

func moment(ms int64) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}
