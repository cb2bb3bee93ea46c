package admin

import (
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A page token is a place in the order of an answer, and a digest of the question:
// a token of another question would silently leave out what comes before it.

// digest is of a question, given in parts.
func digest(parts ...string) uint64 {
	h := fnv.New64a()
	for _, p := range parts {
		h.Write(binary.AppendUvarint(nil, uint64(len(p))))
		h.Write([]byte(p))
	}
	return h.Sum64()
}

func sealToken(place string, question uint64) string {
	return base64.RawURLEncoding.EncodeToString(append(binary.BigEndian.AppendUint64(nil, question), place...))
}

// openToken gives the place of a token; "" is the beginning.
func openToken(token string, question uint64) (place string, err error) {
	if token == "" {
		return "", nil
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) <= 8 {
		return "", status.Errorf(codes.InvalidArgument, "page token %q was not given by a node; begin without one", token)
	}
	if binary.BigEndian.Uint64(b) != question {
		return "", status.Error(codes.InvalidArgument, "the page token belongs to another question; give the filter and the queue as before, or begin without it")
	}
	return string(b[8:]), nil
}
