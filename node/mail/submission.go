package mail

// Submission is a message at the front door: what whoever lets it in knows, and
// what the trace header has to tell. Acceptance completes Envelope: ID,
// Received, Size, MessageID, Hops and this node's group in Visited always;
// Origin and Created unless an earlier node gave them.
type Submission struct {
	Envelope *Envelope

	By     string // host name in the Received field
	With   string // protocol (RFC 3848, RFC 6531): "ESMTPSA"; "" for what was made here
	Cipher string // "TLS1.3 TLS_AES_128_GCM_SHA256"; "" without TLS
	// HostName is the name of the client's address, if somebody made sure of it.
	HostName string

	// HopLimit is the number of Received fields, this node's included, above
	// which the message is taken to loop; 0: not checked.
	HopLimit int
	// MaxSize bounds the content as the client sent it, in octets; 0: no bound.
	MaxSize int64
	// Complete adds Message-ID and Date where they are missing (RFC 6409
	// sections 8.2 and 8.3): for the organisation's own users and programs only.
	Complete bool
}
