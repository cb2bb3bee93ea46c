package mail

import (
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// ID names a message. The first six bytes are the Unix time in milliseconds,
// so IDs sort by the time they were given and spool keys are written in order;
// the other ten are random.
//
// Every node gives its own ID (Envelope.ID, the queue ID of the log) to each
// message that it accepts; the ID given by the first node of the organisation
// travels with the message as Envelope.Origin.
type ID [16]byte

var idText = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// NewID builds an ID from the time and ten bytes of randomness.
func NewID(now time.Time, random [10]byte) ID {
	var id ID
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		id[i] = byte(ms >> (8 * (5 - i)))
	}
	copy(id[6:], random[:])
	return id
}

// Time is when the ID was given, to the millisecond.
func (id ID) Time() time.Time {
	var ms uint64
	for _, b := range id[:6] {
		ms = ms<<8 | uint64(b)
	}
	return time.UnixMilli(int64(ms))
}

// IsZero says whether the ID was never given.
func (id ID) IsZero() bool { return id == ID{} }

// String is the 26 character form used in logs, headers and the CLI.
func (id ID) String() string {
	var room [26]byte
	return string(id.AppendTo(room[:0]))
}

// AppendTo adds the form that String writes.
func (id ID) AppendTo(b []byte) []byte { return idText.AppendEncode(b, id[:]) }

// ParseID reads the form that String writes; letter case does not matter. One ID has one
// text: a last character with bits beyond the ID is a mistyped one, and must not name
// another message.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 26 {
		return id, fmt.Errorf("message ID %q: has %d characters, must have 26", s, len(s))
	}
	b, err := idText.DecodeString(strings.ToUpper(s))
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("message ID %q: not in the alphabet 0-9 A-Z without I, L, O, U", s)
	}
	copy(id[:], b)
	if id.String() != strings.ToUpper(s) {
		return ID{}, fmt.Errorf("message ID %q: no ID ends with this character", s)
	}
	return id, nil
}

// GUID names a directory object; it never changes, whatever the object is called.
type GUID [16]byte

// IsZero says whether the GUID names nothing.
func (g GUID) IsZero() bool { return g == GUID{} }

// String is the usual dashed lower-case form (RFC 9562 section 4).
func (g GUID) String() string {
	var b [36]byte
	hex.Encode(b[:8], g[:4])
	hex.Encode(b[9:13], g[4:6])
	hex.Encode(b[14:18], g[6:8])
	hex.Encode(b[19:23], g[8:10])
	hex.Encode(b[24:], g[10:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// ParseGUID reads the dashed form.
func ParseGUID(s string) (GUID, error) {
	var g GUID
	bad := fmt.Errorf("GUID %q: must look like 01234567-89ab-cdef-0123-456789abcdef", s)
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return g, bad
	}
	if n, err := hex.Decode(g[:], []byte(strings.ReplaceAll(s, "-", ""))); err != nil || n != len(g) {
		return GUID{}, bad
	}
	return g, nil
}
