package spool

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable/block"
	"github.com/cockroachdb/pebble/v2/sstable/colblk"
)

// emptyTable makes a table of that size which has nothing but a deletion of its first
// key. Its end tells where everything is, so that room may lie before the end. It is made
// here, as one that Pebble makes says so much of itself that the smallest tables are smaller.
func emptyTable(known bounds, size int64) ([]byte, error) {
	keys := colblk.DefaultKeySchema(pebble.DefaultComparer, keyBundle)
	k := known.smallest
	k.SetKind(pebble.InternalKeyKindDelete)
	var b []byte
	add := func(content []byte) block.Handle {
		h := block.Handle{Offset: uint64(len(b)), Length: uint64(len(content))}
		b = append(b, seal(block.ChecksumTypeCRC32c, slices.Clone(content))...)
		return h
	}

	var index colblk.IndexBlockWriter
	index.Init()
	index.AddBlockHandle(k.UserKey, add(deadBlock(&keys, k, -1)), nil)
	top := add(index.Finish(1))

	var properties []byte
	for n := 0; properties == nil; n++ { // the shortest that there is
		properties = propertiesBlock(keys.Name, false, false, false, n)
	}
	var meta colblk.KeyValueBlockWriter
	meta.Init()
	at := make([]byte, 2*binary.MaxVarintLen64)
	meta.AddKV([]byte("rocksdb.properties"), at[:add(properties).EncodeVarints(at)])
	end := endOfTable(add(meta.Finish(1)), top)

	room := size - int64(len(b)+len(end))
	if room < 0 {
		return nil, fmt.Errorf("%w: it has %d octets, fewer than an empty one with %d", errLeft, size, len(b)+len(end))
	}
	return slices.Concat(b, make([]byte, room), end), nil
}

// endOfTable is the footer (Pebble, sstable/table.go): the kind of checksums, where the
// metaindex and the index are, a checksum of all the rest, the version and the magic number.
func endOfTable(meta, index block.Handle) []byte {
	format := pebble.FormatTableFormatV6.MaxTableFormat()
	magic, version := format.AsTuple()
	b := make([]byte, format.FooterSize())
	b[0] = byte(block.ChecksumTypeCRC32c)
	n := 1 + meta.EncodeVarints(b[1:])
	index.EncodeVarints(b[n:])
	tail := append(binary.LittleEndian.AppendUint32(nil, version), magic...)
	sum := len(b) - len(tail) - 4
	copy(b[sum+4:], tail)
	rest := bytes.Join([][]byte{b[:sum], tail}, nil)
	binary.LittleEndian.PutUint32(b[sum:], checksum(block.ChecksumTypeCRC32c, rest[:len(rest)-1], rest[len(rest)-1]))
	return b
}
