package spool

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/block"
	"github.com/cockroachdb/pebble/v2/sstable/colblk"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// A table is a row of blocks, each with a checksum, and an index that says which keys
// are in which. A block that cannot be read is replaced by one of the same length that
// holds nothing: a deletion of a key that nobody has. Every other octet of the table stays what and
// where it was, and what the store knows of the table (its number, size and bounds)
// stays true. So one renamed file mends it, and no sequence number changes.

// span is a range of keys, both ends within.
type span struct{ Low, High []byte }

// patch is octets that replace those of a table from an offset on.
type patch struct {
	at int64
	b  []byte
}

// damage is what is wrong with a table.
type damage struct {
	lost    []span // keys that were in it, or may have been
	patches []patch
	// whole: nothing of it can be found any more; it is replaced by an empty table.
	whole bool
	cause error
	size  int64 // of the table, octets
}

// trailer is the length of what follows each block: a mark of its compression, and a
// checksum.
const trailer = block.TrailerLen

// keyBundle is Pebble's default.
const keyBundle = 16

// readTries is how often a block is read that the disk fails to read, and readPause
// the time between.
const (
	readTries = 3
	readPause = time.Second
)

// bounds are the first and last keys that the store knows of a table, and the last of
// its sequence numbers.
type bounds struct {
	smallest, largest pebble.InternalKey
	last              pebble.SeqNum
}

func (b bounds) span() span { return span{b.smallest.UserKey, b.largest.UserKey} }

// surgeon examines one table.
type surgeon struct {
	f     vfs.File
	size  int64
	known bounds
	pause func()

	r    *sstable.Reader
	sum  block.ChecksumType
	keys *colblk.KeySchema
	low  []byte // the separator before the block at hand
	end  int64  // where the last data block ends
	d    damage
}

// examine reads a whole table. The error is one of the disk that may pass, so that
// the table stays as it is; what is wrong with the table is in the damage.
func examine(f vfs.File, known bounds, pause func()) (*damage, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	keys := colblk.DefaultKeySchema(pebble.DefaultComparer, keyBundle)
	x := &surgeon{f: f, size: st.Size(), known: known, pause: pause, keys: &keys, low: known.smallest.UserKey}
	x.d.size = x.size
	err = x.examine()
	if errors.Is(err, errTable) || errors.Is(err, ErrCorrupt) || err != nil && pebble.IsCorruptionError(err) {
		x.d.whole, x.d.cause, x.d.patches = true, err, nil
		x.d.lost = []span{known.span()}
		return &x.d, nil
	}
	return &x.d, err
}

// errTable: a part is broken without which nothing of a table can be found.
var errTable = errors.New("a part that the whole table needs")

func (x *surgeon) examine() error {
	err := x.open()
	if err != nil && pebble.IsCorruptionError(err) {
		p, e := x.properties()
		switch {
		case errors.Is(e, errTable), errors.Is(e, ErrCorrupt):
			return errors.Join(e, err)
		case e != nil: // of the disk
			return e
		case p == nil:
			return err
		}
		x.d.cause, x.d.patches = fmt.Errorf("its properties: %w", err), append(x.d.patches, *p)
		x.f = mended{x.f, *p}
		err = x.open()
	}
	if err != nil {
		return err
	}
	defer func() { _ = x.r.Close() }()
	format, err := x.r.TableFormat()
	if err != nil {
		return err
	}
	if !format.BlockColumnar() {
		return fmt.Errorf("it has the format %s, of a release long gone", format)
	}
	x.sum = x.r.BlockReader().ChecksumType()
	_, _, index, err := x.footer(format)
	if err != nil {
		return err
	}
	if err := x.index(index, x.r.Attributes.Has(sstable.AttributeTwoLevelIndex), x.known.largest.UserKey); err != nil {
		return err
	}
	return x.rest()
}

func (x *surgeon) open() error {
	readable, err := sstable.NewSimpleReadable(unclosed{x.f})
	if err != nil {
		return err
	}
	x.r, err = sstable.NewReader(context.Background(), readable, sstable.ReaderOptions{
		Comparer: pebble.DefaultComparer, KeySchemas: sstable.MakeKeySchemas(x.keys),
		Mergers: map[string]*pebble.Merger{pebble.DefaultMerger.Name: ledgerMerger()},
	})
	if err != nil {
		return errors.Join(err, readable.Close())
	}
	return nil
}

// rest reads what is neither index nor data: deletions of ranges, and what is said of
// the table. None of it can be replaced.
func (x *surgeon) rest() error {
	l, err := x.r.Layout()
	if err != nil {
		if len(x.d.lost) > 0 {
			return nil // of a part of the index that is replaced
		}
		return err
	}
	for _, h := range append(l.ValueBlock, l.RangeDel, l.RangeKey, l.ValueIndex, l.Properties, l.MetaIndex) {
		if h.Length == 0 {
			continue
		}
		if _, err := x.read(h); err != nil {
			return err
		}
	}
	return nil
}

// footer finds the metaindex and the index by the table's end: one octet, then where they
// are (Pebble, sstable/table.go).
func (x *surgeon) footer(format sstable.TableFormat) (end []byte, meta, index block.Handle, err error) {
	end = make([]byte, format.FooterSize())
	if _, err = x.f.ReadAt(end, x.size-int64(len(end))); err != nil {
		return end, meta, index, err
	}
	var n, m int
	meta, n = block.DecodeHandle(end[1:])
	index, m = block.DecodeHandle(end[1+n:])
	sum := block.ChecksumType(end[0]) // Pebble panics when it is asked for one that it does not know
	if n == 0 || m == 0 || sum != block.ChecksumTypeCRC32c && sum != block.ChecksumTypeXXHash64 {
		err = errEnd
	}
	return end, meta, index, err
}

// errEnd: the end of a table cannot be read as such.
var errEnd = fmt.Errorf("%w: its end", errTable)

// index visits the blocks that an index block names, whose keys are all up to high.
func (x *surgeon) index(h block.Handle, top bool, high []byte) error {
	b, err := x.read(h)
	if err != nil {
		return fmt.Errorf("its index: %w", err)
	}
	var it colblk.IndexIter
	if err := it.Init(pebble.DefaultComparer, b, block.IterTransforms{}); err != nil {
		return fmt.Errorf("%w: its index: %w", errTable, err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		sub, err := it.BlockHandleWithProperties()
		if err != nil {
			return fmt.Errorf("%w: its index: %w", errTable, err)
		}
		end := min(string(it.Separator()), string(high))
		if err := x.visit(sub.Handle, top, []byte(end)); err != nil {
			return err
		}
		x.low = []byte(end)
	}
	return nil
}

// visit reads a data block or, from a top index, the index of a part of the table.
func (x *surgeon) visit(h block.Handle, isIndex bool, high []byte) error {
	_, err := x.read(h)
	if err == nil && isIndex {
		return x.index(h, false, high)
	}
	if err != nil {
		if e := x.replace(h, isIndex, high); e != nil {
			return errors.Join(e, err)
		}
		x.d.cause = err
		x.d.lost = append(x.d.lost, span{x.low, high})
	}
	if !isIndex {
		x.end = int64(h.Offset + h.Length + trailer)
	}
	return nil
}

// replace adds the patch for a block. That of an index names one block, where those of
// the lost part began.
func (x *surgeon) replace(h block.Handle, isIndex bool, high []byte) error {
	deads, err := x.deads(high)
	if err != nil {
		return err
	}
	if isIndex {
		content := deadBlock(x.keys, deads[0], -1)
		to := block.Handle{Offset: uint64(x.end), Length: uint64(len(content))}
		return errors.Join(x.patch(to, content), x.patch(h, deadIndex(high, to, int(h.Length))))
	}
	for _, dead := range deads {
		if content := deadBlock(x.keys, dead, int(h.Length)); content != nil {
			return x.patch(h, content)
		}
	}
	return x.patch(h, nil)
}

func (x *surgeon) patch(h block.Handle, content []byte) error {
	if uint64(len(content)) != h.Length {
		return fmt.Errorf("%w: a block of %d octets that no other can replace", errTable, h.Length)
	}
	x.d.patches = append(x.d.patches, patch{int64(h.Offset), seal(x.sum, content)})
	return nil
}

// deads are deletions that fit between the blocks before and after: of a key that no
// format has, or of the last that the block can have had. Where there is no room for
// the former, the block held one key only. A block with the sequence number 0 is shorter.
func (x *surgeon) deads(high []byte) (all []pebble.InternalKey, err error) {
	add := func(user []byte, n pebble.SeqNum) {
		k := pebble.InternalKey{UserKey: user}
		k.SetSeqNum(n)
		k.SetKind(pebble.InternalKeyKindDelete)
		all = append(all, k)
	}
	nobody := append(bytes.Clone(x.low), 0)
	switch c := bytes.Compare(nobody, high); {
	case c < 0:
		add(nobody, 0)
		add(nobody, x.known.last)
		add(high, x.known.last)
	case c == 0:
		add(high, x.known.last)
	case x.end == 0:
		add(high, x.known.smallest.SeqNum())
	default:
		return nil, fmt.Errorf("%w: a block within the versions of one key", errTable)
	}
	return all, nil
}

// read gives a block; the store compresses none.
func (x *surgeon) read(h block.Handle) ([]byte, error) {
	if h.Offset > math.MaxInt64/2 || h.Length > math.MaxInt32 || int64(h.Offset+h.Length+trailer) > x.size {
		return nil, fmt.Errorf("%w: a block at %d of %d octets", errTable, h.Offset, h.Length)
	}
	b := make([]byte, h.Length+trailer)
	for n := 1; ; n++ {
		_, err := x.f.ReadAt(b, int64(h.Offset))
		if err == nil {
			err = x.validate(b, h)
		}
		if err == nil {
			return b[:h.Length], nil
		}
		// What the disk fails to give, and even what it gives wrongly, may be right the
		// next time.
		if n == readTries {
			return nil, err
		}
		x.pause()
	}
}

// validate compares the checksum. Pebble's own function also looks for the bit that has
// flipped, which takes it half a minute for the content of a message.
func (x *surgeon) validate(b []byte, h block.Handle) error {
	if got, want := checksum(x.sum, b[:h.Length], b[h.Length]), binary.LittleEndian.Uint32(b[h.Length+1:]); got != want {
		return fmt.Errorf("%w: the block at %d of %d octets has the checksum %08x, not %08x", ErrCorrupt, h.Offset, h.Length, got, want)
	}
	return nil
}

func checksum(kind block.ChecksumType, b []byte, compression byte) uint32 {
	c := block.Checksummer{Type: kind}
	c.Init(kind)
	return c.Checksum(b, compression)
}

// deadBlock is a data block of a length with nothing but deletions of one key; of any
// length if that is below zero. Pebble drops the value of a deletion: it fills the block.
// Some lengths one value cannot make, for how the lengths of values are kept. nil: it
// cannot be made.
func deadBlock(keys *colblk.KeySchema, dead pebble.InternalKey, length int) []byte {
	var w colblk.DataBlockEncoder
	w.Init(keys)
	build := func(rows, fill int) (size int) {
		w.Reset()
		k := dead
		for n := range rows {
			w.Add(k, make([]byte, fill), block.InPlaceValuePrefix(n > 0), w.KeyWriter.ComparePrev(k.UserKey), false)
			if k.SeqNum() > 0 {
				k.SetSeqNum(k.SeqNum() - 1)
			}
			fill = 0
		}
		return w.Size()
	}
	finish := func(rows int) []byte {
		b, _ := w.Finish(rows, w.Size())
		return bytes.Clone(b)
	}
	if length < 0 {
		build(1, 0)
		return finish(1)
	}
	for rows := 1; rows <= 3 && rows <= 1+int(min(dead.SeqNum(), 2)); rows++ {
		most := length - build(rows, 0)
		for fill := most; fill >= max(0, most-fillSlack); fill-- {
			if build(rows, fill) == length {
				return finish(rows)
			}
		}
	}
	return nil
}

// fillSlack is more than what keeping a length can cost, in octets.
const fillSlack = 24

// deadIndex is an index of a length that names one block. What it says of the block's
// properties, which nobody reads, fills it. nil: it cannot be made.
func deadIndex(high []byte, to block.Handle, length int) []byte {
	var w colblk.IndexBlockWriter
	w.Init()
	w.AddBlockHandle(high, to, nil)
	most := length - w.Size()
	for fill := most; fill >= max(0, most-fillSlack); fill-- {
		w.Reset()
		w.AddBlockHandle(high, to, bytes.Repeat([]byte{0xff}, fill)) // there is no such property
		if w.Size() == length {
			return bytes.Clone(w.Finish(1))
		}
	}
	return nil
}

// seal adds a block's trailer.
func seal(kind block.ChecksumType, b []byte) []byte {
	const plain = byte(block.NoCompressionIndicator)
	return binary.LittleEndian.AppendUint32(append(b, plain), checksum(kind, b, plain))
}

// unclosed is a file that its reader does not close.
type unclosed struct{ vfs.File }

// Close implements io.Closer.
func (unclosed) Close() error { return nil }
