// Package transport reads what gRPC says of a connection that failed: the cause
// stands in a frame that means nothing to a person. It knows the words only, not gRPC.
package transport

import "strings"

const (
	frame = `connection error: desc = "transport: `
	dial  = "Error while dialing: "
)

// Cause takes the frame off; ok is false for words that have none, which come back as
// they are.
func Cause(text string) (cause string, ok bool) {
	inner, ok := strings.CutPrefix(text, frame)
	if !ok {
		return text, false
	}
	return strings.TrimPrefix(strings.TrimSuffix(inner, `"`), dial), true
}
