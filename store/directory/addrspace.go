package directory

import (
	"errors"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// ParseAddressSpace reads the written form "SMTP:*.net;10". Type and cost may
// be left out and are then empty and 0, which stand for SMTP and 1.
func ParseAddressSpace(s string) (*directoryv1.AddressSpace, error) {
	as := &directoryv1.AddressSpace{}
	rest := s
	if t, r, ok := strings.Cut(s, ":"); ok {
		as.Type, rest = t, r
	}
	// The last part is the cost only if it is a number: X.400 patterns have
	// semicolons of their own.
	if i := strings.LastIndexByte(rest, ';'); i >= 0 {
		if n, err := strconv.ParseInt(rest[i+1:], 10, 32); err == nil {
			as.Cost, rest = int32(n), rest[:i]
		}
	}
	as.Pattern = rest
	if as.Pattern == "" {
		return nil, errors.New(`must be TYPE:PATTERN;COST, such as "SMTP:*.net;10"`)
	}
	return as, nil
}

// FormatAddressSpace writes what [ParseAddressSpace] reads. ok is false for a
// value that has no such form; its fields must then be written one by one.
func FormatAddressSpace(as *directoryv1.AddressSpace) (text string, ok bool) {
	text = as.GetPattern()
	if as.GetType() != "" {
		text = as.GetType() + ":" + text
	}
	if as.GetCost() != 0 {
		text += ";" + strconv.FormatInt(int64(as.GetCost()), 10)
	}
	back, err := ParseAddressSpace(text)
	return text, err == nil && proto.Equal(back, as)
}
