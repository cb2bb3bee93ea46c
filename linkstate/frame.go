package linkstate

// Frame is what neighbours send each other: *Digest, *Want, *Records or
// *Keepalive. Greeting and identity are the carrier's business; a [Machine] hears
// of a neighbour only when the carrier is sure who it is.
type Frame interface{ frame() }

// Digest sums up a table. Without entries it is bare: only the hash counts.
type Digest struct {
	Hash    Hash
	Entries []DigestEntry // sorted by server
}

// DigestEntry stands for one record.
type DigestEntry struct {
	Server      GUID
	Incarnation uint64
	Sequence    uint64
	Status      Status
	Hash        uint64 // first eight bytes of the record's hash, big endian
}

// Want asks for the records of these servers.
type Want struct{ Servers []GUID }

// Records carries what changed: patches for a peer that is known to have the
// record before, whole records otherwise.
type Records struct {
	Records []*Record
	Patches []*Patch
}

// Keepalive is sent at its interval, whatever else was sent. The runner adds what
// changes often and is nobody's state: Revision and Queued.
type Keepalive struct {
	Hash     Hash
	Revision int64 // of the directory, as the sender knows it
	Queued   int64 // messages
}

func (*Digest) frame()    {}
func (*Want) frame()      {}
func (*Records) frame()   {}
func (*Keepalive) frame() {}

// Versions of the protocol. Two nodes speak the lower one of theirs.
const (
	OldestProtocol = 1
	// ProtocolPatches brings [Patch].
	ProtocolPatches = 2
	Protocol        = ProtocolPatches
)

// RecordsPerFrame bounds a frame to some 100 KiB, so that a first
// synchronisation does not stand in the way of keep-alives for long.
const RecordsPerFrame = 256
