package directory

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// sizeUnits has the larger factor first, binary before decimal, so that
// formatSize picks the form in which administrators think of message sizes.
func sizeUnits() []struct {
	suffix string
	factor int64
} {
	return []struct {
		suffix string
		factor int64
	}{
		{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
		{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1},
	}
}

var errSize = errors.New(`must be octets, as a whole number with or without B, kB, MB, GB, KiB, MiB or GiB, such as "10MiB"`)

// parseSize reads octets: "512", "10MB" (10^6), "10MiB" (2^20).
func parseSize(s string) (int64, error) {
	digits, factor := s, int64(1)
	for _, u := range sizeUnits() {
		if d, ok := strings.CutSuffix(s, u.suffix); ok {
			digits, factor = strings.TrimSpace(d), u.factor
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || strings.HasPrefix(digits, "+") {
		return 0, errSize
	}
	if n > math.MaxInt64/factor {
		return 0, fmt.Errorf("%s: is more than %d octets", s, int64(math.MaxInt64))
	}
	return n * factor, nil
}

// formatSize writes octets with the largest unit that divides them; it falls
// back to the bare number.
func formatSize(n int64) string {
	for _, u := range sizeUnits() {
		if n > 0 && u.factor > 1 && n%u.factor == 0 {
			return strconv.FormatInt(n/u.factor, 10) + u.suffix
		}
	}
	return strconv.FormatInt(n, 10)
}

var errDuration = errors.New(`must be a time with its unit, such as "500ms", "90s", "10m" or "48h"`)

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || s == "0" {
		return 0, errDuration
	}
	return d, nil
}

// formatDuration is the form of time.Duration without trailing zero units:
// "10m", not "10m0s".
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}
