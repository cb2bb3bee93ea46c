package linkstate

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// Hash sums up a record or a whole table.
type Hash [16]byte

// String is the hex form; equal means same content.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// short is the part of a hash that travels in a digest entry.
func (h Hash) short() uint64 { return binary.BigEndian.Uint64(h[:8]) }

// Compare orders two records of one server: negative if a is older than b, zero
// if they are the same, positive if a is newer. The order is total: incarnation,
// status, sequence, content hash.
func Compare(a, b *Record) int {
	if c := compareRank(a.rank(), b.rank()); c != 0 || a == b {
		return c
	}
	ha, hb := a.Hash(), b.Hash()
	return bytes.Compare(ha[:], hb[:])
}

// Merge keeps the newer of two records of one server; nil is older than any.
func Merge(a, b *Record) *Record {
	switch {
	case a == nil:
		return b
	case b == nil || Compare(a, b) >= 0:
		return a
	}
	return b
}

// rank is the part of the order that needs no hash.
type rank struct {
	incarnation uint64
	status      Status
	sequence    uint64
}

func (r *Record) rank() rank { return rank{r.Incarnation, r.Status, r.Sequence} }

func compareRank(a, b rank) int {
	return cmp.Or(
		cmp.Compare(a.incarnation, b.incarnation),
		cmp.Compare(a.status, b.status),
		cmp.Compare(a.sequence, b.sequence),
	)
}

// Hash of the whole content, fields of newer versions included.
func (r *Record) Hash() Hash {
	var room [512]byte
	sum := sha256.Sum256(r.appendCanonical(room[:0]))
	return Hash(sum[:16])
}

// appendCanonical writes the record so that different content gives different
// bytes: fixed widths, and a length before everything that has none.
func (r *Record) appendCanonical(b []byte) []byte {
	b = append(b, r.Server[:]...)
	b = binary.BigEndian.AppendUint64(b, r.Incarnation)
	b = binary.BigEndian.AppendUint64(b, r.Sequence)
	b = append(b, byte(r.Status), byte(r.Drain))
	b = append(b, r.Accuser[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Since))
	b = appendBytes(b, r.Version)
	b = appendBytes(b, r.Unknown)
	for i := range r.Connectors {
		c := &r.Connectors[i]
		b = append(b, c.Connector[:]...)
		if c.Down {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
		b = binary.BigEndian.AppendUint64(b, uint64(c.Since))
		b = appendBytes(b, c.Reason)
		b = appendBytes(b, c.late())
	}
	return b
}

// late is what a node of the first version finds in Unknown: the fields that were
// added since, as they stand on the wire, then those not known here either. So
// nodes of all versions hash a record to the same value.
func (c *ConnectorState) late() []byte {
	if c.SuppressedUntil == 0 {
		return c.Unknown
	}
	const suppressedUntil = 5 << 3 // field 5 of linkstate.v1.ConnectorState, a varint (type 0)
	b := binary.AppendUvarint([]byte{suppressedUntil}, uint64(c.SuppressedUntil))
	return append(b, c.Unknown...)
}

func appendBytes[T string | []byte](b []byte, s T) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}
