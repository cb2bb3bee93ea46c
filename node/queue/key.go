package queue

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/postroad/postroad/node/mail"
)

// Key is the identity of a queue. Keys with equal Name are one queue.
type Key struct {
	Destination mail.Destination
	Class       mail.Class
	// Visited are the routing groups the messages have been in, sorted, each
	// once; empty for local delivery.
	Visited []mail.GUID
}

// maxVisited bounds the groups in a key, for the sake of its length. The newest
// are kept: a loop comes back to one of those.
const maxVisited = 24

// maxName is what the spool takes as the name of a queue.
const maxName = 1024

var errName = errors.New("no name of a queue")

// KeyOf is the queue for a target of a message. visited is in the envelope's order.
func KeyOf(d mail.Destination, c mail.Class, visited []mail.GUID) Key {
	if d.Place == mail.PlaceLocal {
		// Nothing is left to route: only the order of service matters.
		return Key{Destination: mail.Destination{Place: mail.PlaceLocal}, Class: mail.Class{Priority: c.Priority}}
	}
	k := Key{Destination: d, Class: c}
	if len(visited) > maxVisited {
		visited = visited[len(visited)-maxVisited:]
	}
	if len(visited) > 0 {
		k.Visited = slices.Clone(visited)
		slices.SortFunc(k.Visited, compareGUID)
		k.Visited = slices.Compact(k.Visited)
	}
	return k
}

func compareGUID(a, b mail.GUID) int { return slices.Compare(a[:], b[:]) }

// Fields of a name, in order; the last may hold any character.
const (
	fieldPlace = iota
	fieldPriority
	fieldSystem
	fieldSize
	fieldVisited
	fieldServer
	fieldConnector
	fieldType
	fieldDomain
	fields
)

// Name is the key in text, as the spool stores it. It must never change its
// form without a new spool format: queues on disk are found by it.
func (k Key) Name() string {
	b := make([]byte, 0, 64+len(k.Destination.Domain))
	b = append(b, '0'+byte(k.Destination.Place), '|')
	b = strconv.AppendInt(b, int64(k.Class.Priority), 10)
	if k.Class.System {
		b = append(b, "|s|"...)
	} else {
		b = append(b, "||"...)
	}
	b = strconv.AppendInt(b, k.Class.Size, 10)
	b = append(b, '|')
	for _, g := range k.Visited {
		b = base64.RawURLEncoding.AppendEncode(b, g[:])
	}
	b = append(b, '|')
	b = appendGUID(b, k.Destination.Server)
	b = append(b, '|')
	b = appendGUID(b, k.Destination.Connector)
	b = append(b, '|')
	b = append(b, url.QueryEscape(k.Destination.Type)...)
	b = append(b, '|')
	return string(append(b, k.Destination.Domain...))
}

func appendGUID(b []byte, g mail.GUID) []byte {
	if g.IsZero() {
		return b
	}
	return hex.AppendEncode(b, g[:])
}

// ParseName reads what Name writes.
func ParseName(name string) (Key, error) {
	f := strings.SplitN(name, "|", fields)
	if len(f) != fields {
		return Key{}, fmt.Errorf("queue %q: %w: it has %d fields, not %d", name, errName, len(f), fields)
	}
	var k Key
	d, c := &k.Destination, &k.Class
	place, err1 := strconv.ParseUint(f[fieldPlace], 10, 8)
	prio, err2 := strconv.ParseInt(f[fieldPriority], 10, 8)
	size, err3 := strconv.ParseInt(f[fieldSize], 10, 64)
	var err4, err5, err6, err7 error
	k.Visited, err4 = parseVisited(f[fieldVisited])
	d.Server, err5 = parseHex(f[fieldServer])
	d.Connector, err6 = parseHex(f[fieldConnector])
	d.Type, err7 = url.QueryUnescape(f[fieldType])
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7); err != nil {
		return Key{}, fmt.Errorf("queue %q: %w: %w", name, errName, err)
	}
	d.Place, d.Domain = mail.Place(place), f[fieldDomain]
	c.Priority, c.Size, c.System = mail.Priority(prio), size, f[fieldSystem] == "s"
	// One queue has one name: what Name would write otherwise is refused.
	if d.Place > mail.PlaceForeign || k.Name() != name {
		return Key{}, fmt.Errorf("queue %q: %w", name, errName)
	}
	return k, nil
}

func parseVisited(s string) ([]mail.GUID, error) {
	const each = 22 // a GUID in base64 without padding
	if len(s)%each != 0 {
		return nil, errors.New("a visited group is cut")
	}
	var out []mail.GUID
	for ; s != ""; s = s[each:] {
		var g mail.GUID
		if _, err := base64.RawURLEncoding.Decode(g[:], []byte(s[:each])); err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	return out, nil
}

func parseHex(s string) (mail.GUID, error) {
	var g mail.GUID
	if s == "" {
		return g, nil
	}
	if len(s) != 2*len(g) {
		return g, errors.New("a GUID has the wrong length")
	}
	_, err := hex.Decode(g[:], []byte(s))
	return g, err
}

// queueID is the short name under which an operator addresses a queue. It
// depends on the name only, so it is the same after a restart.
func queueID(name string) string {
	h := fnv.New64a()
	h.Write([]byte(name))
	return strconv.FormatUint(h.Sum64(), 36)
}

// classText is the class in an operator's words: "normal, up to 1048576 octets".
func classText(c mail.Class) string {
	s := c.Priority.String()
	if c.System {
		s += ", system"
	}
	if c.Size > 0 {
		s += ", up to " + strconv.FormatInt(c.Size, 10) + " octets"
	}
	return s
}
