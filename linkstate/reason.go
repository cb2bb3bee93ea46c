package linkstate

import (
	"strings"
	"unicode/utf8"
)

// brief is the part of a reason that the organisation needs: at most MaxReason
// bytes of valid UTF-8. Go's network errors name first what was tried and last
// what happened ("dial tcp 192.0.2.1:25: connect: connection refused"); servers
// answer first a code and then words ("451 4.3.2 too busy"). The whole text is in
// the log of the bridgehead.
func brief(reason string) string {
	reason = strings.TrimSpace(strings.ToValidUTF8(reason, "?"))
	if len(reason) > MaxReason {
		if i := strings.LastIndex(reason, ": "); i >= 0 && (reason[0] < '0' || reason[0] > '9') {
			reason = reason[i+2:]
		}
	}
	return clip(reason)
}

// clip shortens a text to MaxReason; what was cut off is shown by an ellipsis.
func clip(s string) string {
	if len(s) <= MaxReason {
		return s
	}
	const more = "…"
	cut := MaxReason - len(more)
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strings.TrimRight(s[:cut], " ") + more
}
