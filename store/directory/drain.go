package directory

import directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"

// DrainWord is what operators type and see: "none", "soft" or "hard".
func DrainWord(m directoryv1.DrainMode) string {
	switch m {
	case directoryv1.DrainMode_DRAIN_MODE_SOFT:
		return "soft"
	case directoryv1.DrainMode_DRAIN_MODE_HARD:
		return "hard"
	}
	return "none"
}
