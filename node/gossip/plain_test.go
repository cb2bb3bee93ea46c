package gossip

import (
	"errors"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What a person reads in the log and the CLI is the cause, not gRPC's frame.
func TestReasonsArePlain(t *testing.T) {
	for text, want := range map[string]string{
		"error reading from server: EOF": "the peer closed the stream",
		`connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:691: connect: connection refused"`: "dial tcp 127.0.0.1:691: connect: connection refused",
		`connection error: desc = "transport: authentication handshake failed: tls: bad certificate"`:                    "authentication handshake failed: tls: bad certificate",
		"organization x, this is y": "organization x, this is y",
	} {
		if got := plain(status.Error(codes.Unavailable, text)); got.Error() != want {
			t.Errorf("plain(%q) = %q, want %q", text, got, want)
		}
	}
	own := errors.New("own")
	if got := plain(own); got != own {
		t.Errorf("plain of an error that is not gRPC's: %v", got)
	}
}
