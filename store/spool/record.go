package spool

import (
	"encoding/binary"
	"fmt"
)

// stored tells where a body is.
type stored struct {
	id     bodyID
	size   int64  // octets
	chunks uint32 // all but the last are chunkSize octets long
	shared bool   // other envelopes have the body too: reference keys tell which
	file   uint64 // number of the body's file; 0: its chunks are in the store
}

const (
	recordHead = 1 + len(bodyID{}) + 4 + 8
	flagShared = 1
	flagFile   = 2
)

// appendEnvelope writes the value of an envelope key: flags, body, chunks,
// size, the file if there is one, then the caller's octets.
func appendEnvelope(v []byte, s stored, envelope []byte) []byte {
	var flags byte
	if s.shared {
		flags |= flagShared
	}
	if s.file != 0 {
		flags |= flagFile
	}
	v = append(append(v, flags), s.id[:]...)
	v = binary.BigEndian.AppendUint32(v, s.chunks)
	v = binary.BigEndian.AppendUint64(v, uint64(s.size))
	if s.file != 0 {
		v = binary.BigEndian.AppendUint64(v, s.file)
	}
	return append(v, envelope...)
}

// head is the length of an envelope's value before the caller's octets.
func (s stored) head() int {
	if s.file != 0 {
		return recordHead + 8
	}
	return recordHead
}

func parseEnvelope(v []byte) (s stored, envelope []byte, err error) {
	if len(v) < recordHead || v[0]&^(flagShared|flagFile) != 0 {
		return s, nil, fmt.Errorf("%w: an envelope record of %d octets", ErrCorrupt, len(v))
	}
	s.shared = v[0]&flagShared != 0
	copy(s.id[:], v[1:])
	s.chunks = binary.BigEndian.Uint32(v[13:])
	s.size = int64(binary.BigEndian.Uint64(v[17:]))
	if s.size < 0 || int64(s.chunks) != chunksOf(s.size) {
		return s, nil, fmt.Errorf("%w: an envelope record with %d octets of body in %d chunks", ErrCorrupt, s.size, s.chunks)
	}
	hasFile := v[0]&flagFile != 0
	v = v[recordHead:]
	if hasFile {
		if len(v) < 8 {
			return s, nil, fmt.Errorf("%w: an envelope record that ends in the number of a file", ErrCorrupt)
		}
		s.file, v = binary.BigEndian.Uint64(v), v[8:]
	}
	if hasFile && (s.file == 0 || s.chunks < 2) {
		return s, nil, fmt.Errorf("%w: an envelope record with file %d for %d chunks", ErrCorrupt, s.file, s.chunks)
	}
	return s, v, nil
}

// chunksOf is the number of chunks of a body. An empty body has none.
func chunksOf(size int64) int64 { return size/chunkSize + min(size%chunkSize, 1) }
