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
	// Held: the messages wait for a time that their senders asked for (RFC 4865),
	// and go on into the queue without it then.
	Held bool
	// Hold is who holds the messages back, [HoldByHand] or that of a rule; "":
	// nobody does. They do not expire meanwhile.
	Hold string
	// Via is the SMTP host ("host:port") to which an administrator sent the
	// messages in place of the way that routing finds.
	Via string
	// Part tells apart entries of one message that parted and lead the same way
	// again: a queue has a message once. Usually 0.
	Part uint8
}

// HoldByHand is the hold of messages that were frozen one by one.
const HoldByHand = "hand"

const ruleHold = "rule/"

// RuleHold is the hold of a rule, by its name.
func RuleHold(rule string) string { return ruleHold + rule }

// RuleOf is the rule that holds; "" if no rule does.
func RuleOf(hold string) string {
	rule, ok := strings.CutPrefix(hold, ruleHold)
	if !ok {
		return ""
	}
	return rule
}

// maxVisited bounds the groups in a key, for the sake of its length. The newest
// are kept: a loop comes back to one of those.
const maxVisited = 24

// maxName is what the spool takes as the name of a queue.
const maxName = 2048

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
	fieldKind
	fieldSize
	fieldVisited
	fieldServer
	fieldConnector
	fieldType
	fieldDomain
	fields
)

// Marks before the place, in this order.
const (
	markHeld       = 'h'
	markRequireTLS = 't'
)

// Name is the key in text, as the spool stores it. It must never change its
// form without a new spool format: queues on disk are found by it.
func (k Key) Name() string {
	b := make([]byte, 0, 64+len(k.Destination.Domain))
	if k.Held {
		b = append(b, markHeld)
	}
	if k.Class.RequireTLS {
		b = append(b, markRequireTLS)
	}
	b = append(b, '0'+byte(k.Destination.Place), '|')
	b = strconv.AppendInt(b, int64(k.Class.Priority), 10)
	b = append(b, '|')
	b = appendOrders(appendKind(b, k.Class), k)
	b = append(b, '|')
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

// Marks in the field of the kind. A plain message has none, as in release 0.1.0,
// so its queue keeps its name.
const (
	markSystem = 's'
	markSender = '~' // then the sender's IDs in base64
	markBucket = '+' // then the bucket, after those above
	markHold   = '!' // then the hold in base64
	markVia    = '>' // then the host in base64
	markPart   = '*' // then the part, at the end
)

// appendOrders writes what an administrator, or a rule, made of the messages.
func appendOrders(b []byte, k Key) []byte {
	if k.Hold != "" {
		b = append(b, markHold)
		b = base64.RawURLEncoding.AppendEncode(b, []byte(k.Hold))
	}
	if k.Via != "" {
		b = append(b, markVia)
		b = base64.RawURLEncoding.AppendEncode(b, []byte(k.Via))
	}
	if k.Part != 0 {
		b = append(b, markPart)
		b = strconv.AppendUint(b, uint64(k.Part), 10)
	}
	return b
}

// cutOrders reads what appendOrders writes and gives what stands before it.
func cutOrders(s string, k *Key) (rest string, err error) {
	s, part, parted := strings.Cut(s, string(markPart))
	if parted {
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil {
			return "", err
		}
		k.Part = uint8(n)
	}
	for _, f := range []struct {
		mark rune
		to   *string
	}{{markVia, &k.Via}, {markHold, &k.Hold}} {
		var coded string
		var there bool
		if s, coded, there = strings.Cut(s, string(f.mark)); !there {
			continue
		}
		b, err := base64.RawURLEncoding.DecodeString(coded)
		if err != nil {
			return "", err
		}
		*f.to = string(b)
	}
	return s, nil
}

func appendKind(b []byte, c mail.Class) []byte {
	if c.System {
		b = append(b, markSystem)
	}
	if c.Sender != "" {
		b = append(b, markSender)
		b = base64.RawURLEncoding.AppendEncode(b, []byte(c.Sender))
	}
	if c.Bucket != 0 {
		b = append(b, markBucket)
		b = strconv.AppendUint(b, uint64(c.Bucket), 10)
	}
	return b
}

func parseKind(s string, c *mail.Class) error {
	s, bucket, spread := strings.Cut(s, string(markBucket))
	if spread {
		n, err := strconv.ParseUint(bucket, 10, 8)
		if err != nil {
			return err
		}
		c.Bucket = uint8(n)
	}
	s, sender, listed := strings.Cut(s, string(markSender))
	if listed {
		ids, err := base64.RawURLEncoding.DecodeString(sender)
		if err != nil {
			return err
		}
		if c.Sender = mail.Sender(ids); !c.Sender.Valid() {
			return errors.New("the sender's IDs are out of order")
		}
	}
	c.System = s == string(markSystem)
	return nil
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
	f[fieldPlace], k.Held = cutMark(f[fieldPlace], markHeld)
	f[fieldPlace], c.RequireTLS = cutMark(f[fieldPlace], markRequireTLS)
	place, err1 := strconv.ParseUint(f[fieldPlace], 10, 8)
	prio, err2 := strconv.ParseInt(f[fieldPriority], 10, 8)
	size, err3 := strconv.ParseInt(f[fieldSize], 10, 64)
	var err4, err5, err6, err7 error
	k.Visited, err4 = parseVisited(f[fieldVisited])
	d.Server, err5 = parseHex(f[fieldServer])
	d.Connector, err6 = parseHex(f[fieldConnector])
	d.Type, err7 = url.QueryUnescape(f[fieldType])
	kind, err8 := cutOrders(f[fieldKind], &k)
	err9 := parseKind(kind, c)
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, err8, err9); err != nil {
		return Key{}, fmt.Errorf("queue %q: %w: %w", name, errName, err)
	}
	d.Place, d.Domain = mail.Place(place), f[fieldDomain]
	c.Priority, c.Size = mail.Priority(prio), size
	// One queue has one name: what Name would write otherwise is refused.
	if d.Place > mail.PlaceForeign || k.Name() != name {
		return Key{}, fmt.Errorf("queue %q: %w", name, errName)
	}
	return k, nil
}

func cutMark(s string, mark byte) (string, bool) {
	if s != "" && s[0] == mark {
		return s[1:], true
	}
	return s, false
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
	if c.RequireTLS {
		s += ", REQUIRETLS"
	}
	if c.Size > 0 {
		s += ", up to " + strconv.FormatInt(c.Size, 10) + " octets"
	}
	if c.Sender != "" {
		s += ", from a listed sender"
	}
	if c.Bucket > 0 {
		s += ", part " + strconv.Itoa(int(c.Bucket))
	}
	return s
}
