package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/block"
	"github.com/cockroachdb/pebble/v2/sstable/colblk"
	"github.com/cockroachdb/pebble/v2/sstable/rowblk"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// What a table says of itself, its properties, is mostly numbers by which Pebble picks
// tables to merge. But nobody opens a table without them, as they name the form of its blocks.
// That is the same for all tables of a spool, or shows in their other parts. So properties that
// cannot be read are replaced, and no key is lost.

// properties gives the patch for properties that cannot be read; nil: they can. x has no
// reader yet.
func (x *surgeon) properties() (*patch, error) {
	format := sstable.TableFormatPebblev6
	end, meta, index, err := x.footer(format)
	if err != nil {
		return nil, err
	}
	magic, version := format.AsTuple()
	if !bytes.HasSuffix(end, []byte(magic)) || binary.LittleEndian.Uint32(end[len(end)-len(magic)-4:]) != version {
		return nil, errEnd
	}
	x.sum = block.ChecksumType(end[0])
	b, err := x.read(meta)
	if err != nil {
		return nil, err
	}
	parts := map[string]block.Handle{}
	var d colblk.KeyValueBlockDecoder
	d.Init(b)
	for name, at := range d.All() {
		parts[string(name)], _ = block.DecodeHandle(at)
	}
	at, there := parts["rocksdb.properties"]
	if !there {
		return nil, fmt.Errorf("%w: the place of its properties", errTable)
	}
	if _, err := x.read(at); err == nil || !errors.Is(err, ErrCorrupt) {
		return nil, err
	}
	top, err := x.hasTop(index)
	if err != nil {
		return nil, err
	}
	_, ranges := parts["rocksdb.range_del2"]
	_, values := parts["pebble.value_index"]
	content := propertiesBlock(x.keys.Name, top, ranges, values, int(at.Length))
	if content == nil {
		return nil, fmt.Errorf("%w: properties of %d octets that no others can replace", errTable, at.Length)
	}
	return &patch{int64(at.Offset), seal(x.sum, content)}, nil
}

// hasTop says whether the index names parts of an index, not data.
func (x *surgeon) hasTop(index block.Handle) (bool, error) {
	b, err := x.read(index)
	if err != nil {
		return false, fmt.Errorf("its index: %w", err)
	}
	var it colblk.IndexIter
	if err := it.Init(pebble.DefaultComparer, b, block.IterTransforms{}); err != nil {
		return false, fmt.Errorf("%w: its index: %w", errTable, err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		sub, err := it.BlockHandleWithProperties()
		if err != nil {
			return false, fmt.Errorf("%w: its index: %w", errTable, err)
		}
		if named, err := x.read(sub.Handle); err == nil {
			return colblk.DecodeHeader(named).Columns == colblk.DecodeHeader(b).Columns, nil
		}
	}
	return false, fmt.Errorf("%w: all that its index names", errTable)
}

// Values of the property that tells the kind of an index (Pebble, sstable/table.go).
const (
	plainIndex = 0
	topIndex   = 2
)

// propertiesBlock is a block of a length with the properties that a table needs to be
// read. Numbers of keys are made up: they are 1 where there are some. nil: it cannot be made.
func propertiesBlock(schema string, top, ranges, values bool, length int) []byte {
	type property struct {
		name  string
		value []byte
	}
	one := binary.AppendUvarint(nil, 1)
	all := []property{{"pebble.colblk.schema", []byte(schema)}}
	if values {
		all = append(all, property{"pebble.num.value-blocks", one})
	}
	kind := uint32(plainIndex)
	if top {
		kind = topIndex
	}
	all = append(all,
		property{"rocksdb.block.based.table.index.type", binary.LittleEndian.AppendUint32(nil, kind)},
		property{"rocksdb.comparator", []byte(pebble.DefaultComparer.Name)})
	if ranges {
		all = append(all, property{"rocksdb.deleted.keys", one})
	}
	all = append(all,
		property{"rocksdb.merge.operator", []byte(ledgerMerger().Name)},
		property{"rocksdb.num.data.blocks", one},
		property{"rocksdb.num.entries", one})
	if ranges {
		all = append(all, property{"rocksdb.num.range-deletions", one})
	}
	build := func(name string, fill int) []byte {
		w := rowblk.Writer{RestartInterval: math.MaxInt32}
		for _, p := range append(all, property{name, make([]byte, fill)}) {
			if w.AddRawString(p.name, p.value) != nil {
				return nil
			}
		}
		return bytes.Clone(w.Finish())
	}
	for _, name := range []string{"spool.fill", "spool.fills"} { // one length of a name cannot make all lengths
		most := length - len(build(name, 0))
		for fill := most; fill >= max(0, most-fillSlack); fill-- {
			if b := build(name, fill); len(b) == length {
				return b
			}
		}
	}
	return nil
}

// mended is a table with a patch.
type mended struct {
	vfs.File
	patch
}

// ReadAt implements io.ReaderAt.
func (m mended) ReadAt(b []byte, off int64) (int, error) {
	n, err := m.File.ReadAt(b, off)
	if low, high := max(off, m.at), min(off+int64(n), m.at+int64(len(m.b))); low < high {
		copy(b[low-off:high-off], m.b[low-m.at:])
	}
	return n, err
}
